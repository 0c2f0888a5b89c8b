"""Finished policies asked again, as soon as they are: a checkpoint may not stay."""


rule sample_trajectories:
    input:
        one_run_files,
    output:
        "results/runs/{task}/{method}/seed{seed}/trajectories.npz",
    log:
        "results/logs/trajectories/{task}/{method}/seed{seed}.log",
    wildcard_constraints:
        task=with_checkpoints(suite_names("bandit")),
        seed=r"\d+",
    conda:
        "../../environment.yml"
    params:
        made_by=trajectory_parameters,
        options=scale_options,
    message:
        "Sample trajectories of {wildcards.method} on {wildcards.task}"
    shell:
        "dql bandit trajectories {wildcards.task:q} {wildcards.method:q}"
        " --seed {wildcards.seed:q} {params.options} > {log:q} 2>&1"


rule sample_actions:
    input:
        one_run_files,
    output:
        "results/action_samples/{task}/{method}/seed{seed}.csv",
    log:
        "results/logs/action_samples/{task}/{method}/seed{seed}.log",
    wildcard_constraints:
        task=with_checkpoints(ROLLED_OUT_TASKS),
        seed=r"\d+",
    priority: MEASURING_PRIORITY
    conda:
        "../../environment.yml"
    params:
        made_by=action_sample_parameters,
        options=scale_options,
    message:
        "Sample the actions of {wildcards.method} on {wildcards.task}, seed {wildcards.seed}"
    shell:
        "dql action-samples {wildcards.task:q} {wildcards.method:q}"
        " --seed {wildcards.seed:q} {params.options} > {log:q} 2>&1"


rule record_episode:
    input:
        one_run_files,
    output:
        "results/episodes/{task}/{method}/seed{seed}.npz",
    log:
        "results/logs/episodes/{task}/{method}/seed{seed}.log",
    wildcard_constraints:
        task=with_checkpoints(ROLLED_OUT_TASKS),
        seed=r"\d+",
    priority: MEASURING_PRIORITY
    conda:
        "../../environment.yml"
    params:
        made_by=episode_parameters,
        options=scale_options,
    message:
        "Record an episode of {wildcards.method} on {wildcards.task}, seed {wildcards.seed}"
    shell:
        "dql episode {wildcards.task:q} {wildcards.method:q}"
        " --seed {wildcards.seed:q} {params.options} > {log:q} 2>&1"


rule count_ways:
    input:
        one_run_files,
    output:
        "results/ways/{task}/{method}/seed{seed}.csv",
    log:
        "results/logs/ways/{task}/{method}/seed{seed}.log",
    wildcard_constraints:
        task=with_checkpoints(ROLLED_OUT_TASKS),
        seed=r"\d+",
    priority: MEASURING_PRIORITY
    conda:
        "../../environment.yml"
    params:
        made_by=ways_parameters,
        options=scale_options,
    message:
        "Count the ways of {wildcards.method} on {wildcards.task}, seed {wildcards.seed}"
    shell:
        "dql ways {wildcards.task:q} {wildcards.method:q}"
        " --seed {wildcards.seed:q} {params.options} > {log:q} 2>&1"


rule measure_stability:
    input:
        one_run_files,
    output:
        "results/stability/{task}/{method}/seed{seed}.csv",
    log:
        "results/logs/stability/{task}/{method}/seed{seed}.log",
    wildcard_constraints:
        task=with_checkpoints(ROLLED_OUT_TASKS),
        seed=r"\d+",
    priority: MEASURING_PRIORITY
    conda:
        "../../environment.yml"
    params:
        made_by=stability_parameters,
        options=scale_options,
    message:
        "Measure the last policy of {wildcards.method} on {wildcards.task}, seed {wildcards.seed}"
    shell:
        "dql stability {wildcards.task:q} {wildcards.method:q}"
        " --seed {wildcards.seed:q} {params.options} > {log:q} 2>&1"
