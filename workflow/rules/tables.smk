"""Cells over seeds, and the tables of the paper's format made from them."""


rule aggregate_cell:
    input:
        runs=cell_run_files,
        manifests=cell_manifests,
    output:
        "results/cells/{task}/{method}.json",
    log:
        "results/logs/cells/{task}/{method}.log",
    conda:
        "../../environment.yml"
    params:
        made_by=cell_parameters,
        options=scale_options,
    message:
        "Aggregate {wildcards.method} on {wildcards.task} over seeds"
    shell:
        "dql aggregate {wildcards.task:q} {wildcards.method:q} {params.options} > {log:q} 2>&1"


# One rule for each table, since a rule has one caption. The command is formatted when it
# runs, after the loop, and so takes the table from the rule's parameters.
for table in TABLES:

    rule:
        name:
            f"make_table_{table}"
        input:
            table_inputs(table),
        output:
            f"results/tables/{table}.csv",
            f"results/tables/{table}.tex",
            f"results/tables/{table}.md",
            report(
                f"results/tables/{table}.html",
                caption=f"../report/{table}.rst",
                category="3 Tables",
                labels={"table": TABLE_TITLES.get(table, table)},
            ),
        log:
            f"results/logs/tables/{table}.log",
        conda:
            "../../environment.yml"
        params:
            table=table,
            made_by=table_parameters(table),
            options=scale_options,
        message:
            f"Make the table {table}"
        shell:
            "dql table {params.table:q} {params.options} > {log:q} 2>&1"
