"""Cells over seeds, and the tables of the paper's format made from them."""


rule aggregate_cell:
    input:
        runs=cell_run_files,
        manifest=training_manifest,
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


for table in TABLES:

    rule:
        name:
            f"make_table_{table}"
        input:
            table_inputs(table),
        output:
            "results/tables/{table}.csv",
            "results/tables/{table}.tex",
            "results/tables/{table}.md",
            report(
                "results/tables/{table}.html",
                caption=caption(table),
                category="3 Tables",
                labels={"table": TABLE_TITLES.get(table, table)},
            ),
        log:
            "results/logs/tables/{table}.log",
        wildcard_constraints:
            table=any_of([table]),
        conda:
            "../../environment.yml"
        params:
            made_by=table_parameters(table),
            options=scale_options,
        message:
            "Make the table {wildcards.table}"
        shell:
            "dql table {wildcards.table:q} {params.options} > {log:q} 2>&1"
