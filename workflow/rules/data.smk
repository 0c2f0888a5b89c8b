"""Datasets: generated from behavior policies trained here, or fetched.

Every other rule depends on the small manifest; see `training_data` for the big file.
"""


rule train_behavior_policies:
    output:
        "results/behavior/{environment}/policies.safetensors",
        "results/behavior/{environment}/policies.json",
    log:
        "results/logs/behavior/{environment}.log",
    priority: 200  # the longest chain of jobs starts here
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(8000),
        runtime=480,
    params:
        made_by=behavior_parameters,
        options=scale_options,
    message:
        "Train behavior policies in {wildcards.environment}"
    shell:
        "dql data behavior {wildcards.environment:q} {params.options} > {log:q} 2>&1"


rule fetch_policy:
    output:
        "results/policies/{policy}.safetensors",
    log:
        "results/logs/policies/{policy}.log",
    priority: 5000  # seconds each, and trainings wait for them
    retries: 2
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(2000),
        runtime=30,
    params:
        made_by=weights_parameters,
    message:
        "Fetch the weights of {wildcards.policy}"
    shell:
        "dql data policies {wildcards.policy:q} > {log:q} 2>&1"


rule generate_dataset:
    input:
        behavior_policies,
    output:
        "results/datasets/{task}.json",
        "results/datasets/{task}-v0/data/main_data.hdf5",
    log:
        "results/logs/datasets/{task}.log",
    wildcard_constraints:
        task=any_of(made_with_manifest("local", "remade")),
    priority: data_priority
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(8000),
        runtime=120,
    params:
        made_by=dataset_parameters,
        options=scale_options,
    message:
        "Generate the dataset of {wildcards.task}"
    shell:
        "dql data generate {wildcards.task:q} {params.options} > {log:q} 2>&1"


rule vary_dataset:
    input:
        variant_manifests,
        training_data,
    output:
        "results/datasets/{task}.json",
    log:
        "results/logs/datasets/{task}.log",
    wildcard_constraints:
        task=any_of(variants_to_describe()),
    priority: data_priority
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(4000),
        runtime=30,
    params:
        made_by=variant_parameters,
        options=scale_options,
    message:
        "Describe the variant {wildcards.task}, of which no row is stored"
    shell:
        "dql data generate {wildcards.task:q} {params.options} > {log:q} 2>&1"


rule fetch_dataset:
    output:
        "results/datasets/{task}.json",
        "results/datasets/{task}/data/main_data.hdf5",
    log:
        "results/logs/datasets/{task}.log",
    wildcard_constraints:
        task=any_of(made_with_manifest("d4rl", "minari")),
    retries: 2
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(8000),
        runtime=240,
    params:
        made_by=dataset_parameters,
        options=scale_options,
    message:
        "Fetch the dataset of {wildcards.task}"
    shell:
        "dql data fetch {wildcards.task:q} {params.options} > {log:q} 2>&1"


for suffix in ("-v0", ""):

    rule:
        name:
            f"make_data_again{suffix.replace('-', '_')}"
        input:
            behavior_policies,
        output:
            f"results/datasets/{{task}}{suffix}/data/main_data.hdf5",
        log:
            "results/logs/datasets/{task}.log",
        wildcard_constraints:
            task=any_of(held_tasks(suffix)),
        priority: data_priority
        conda:
            "../../environment.yml"
        resources:
            mem_mb=grows_by_attempt(8000),
            runtime=240,
        params:
            options=scale_options,
        message:
            "Make the data of {wildcards.task} again, for runs beside restored ones"
        shell:
            "dql data again {wildcards.task:q} {params.options} > {log:q} 2>&1"


rule draw_data_figure:
    input:
        manifest="results/datasets/{task}.json",
        data=training_data,
    output:
        "figures/data/data_{task}.pdf",
        report(
            "figures/data/data_{task}.png",
            caption="../report/data.rst",
            category="5 Data",
            labels={"what": "{task}", "format": "figure"},
        ),
    log:
        "results/logs/figures/data_{task}.log",
    wildcard_constraints:
        task=any_of(drawn_here("local")),
    priority: data_priority  # a campaign ends days later, on another machine
    conda:
        "../../environment.yml"
    params:
        made_by=data_figure_parameters,
    message:
        "Draw the data of {wildcards.task}"
    shell:
        "dql data describe {wildcards.task:q} --figure > {log:q} 2>&1"


rule compare_data:
    input:
        manifest="results/datasets/{task}.json",
        data=training_data,
        models=ruler_models,
    output:
        "results/comparisons/{task}.json",
        "figures/remade/remade_data_{task}.pdf",
        report(
            "figures/remade/remade_data_{task}.png",
            caption="../report/remade_data.rst",
            category="5 Data",
            labels={"what": "{task}", "format": "figure"},
        ),
    log:
        "results/logs/comparisons/{task}.log",
    wildcard_constraints:
        task=any_of(drawn_here("remade")),
    priority: data_priority
    conda:
        "../../environment.yml"
    resources:
        mem_mb=grows_by_attempt(4000),
    params:
        made_by=comparison_parameters,
        options=scale_options,
    message:
        "Compare the data of {wildcards.task} with the D4RL set of their name"
    shell:
        "dql data compare {wildcards.task:q} {params.options} > {log:q} 2>&1"


rule make_comparison_table:
    input:
        expand("results/comparisons/{task}.json", task=REMADE_TASKS),
    output:
        "results/tables/remade_data.csv",
        "results/tables/remade_data.tex",
        "results/tables/remade_data.md",
        report(
            "results/tables/remade_data.html",
            caption="../report/remade_data.rst",
            category="3 Tables",
            labels={"table": "remade data beside D4RL's"},
        ),
    log:
        "results/logs/tables/remade_data.log",
    conda:
        "../../environment.yml"
    params:
        tasks=REMADE_TASKS,
        made_by=comparison_table_parameters,
        options=scale_options,
    message:
        "Make the table of remade data"
    shell:
        "dql data compare --table {params.tasks:q} {params.options} > {log:q} 2>&1"
