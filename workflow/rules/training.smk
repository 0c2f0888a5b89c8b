"""Runs: one job trains a block of seeds of one method on one task, in one process.

The rules differ in the seeds of their block only. A run's files are the same whatever
block it was trained in, and its checkpoint is no declared output: Snakemake removes
those of a failed job, and a checkpoint must outlive it.
"""

for name, suite, seeds, tasks, methods in seed_blocks():

    rule:
        name:
            f"train_{name}"
        input:
            manifest=training_manifest,
            data=training_data,
            start=offline_run_files(seeds),
        output:
            expand(
                "results/runs/{{task}}/{{method}}/seed{seed}/{file}",
                seed=seeds,
                file=SUITE_RUN_FILES[suite],
            ),
        log:
            f"results/logs/train/{{task}}/{{method}}/seeds_{'_'.join(map(str, seeds))}.log",
        benchmark:
            f"results/benchmarks/train/{{task}}/{{method}}/seeds_{'_'.join(map(str, seeds))}.tsv"
        wildcard_constraints:
            task=tasks,
            method=methods,
        priority: training_priority(seeds)
        conda:
            "../../environment.yml"
        threads: training_threads(seeds)
        resources:
            gpu=1,
            mem_mb=training_memory(suite),
            runtime=training_minutes(),
        params:
            made_by=run_parameters,
            seeds=seed_options(seeds),
            options=scale_options,
        message:
            f"Train {{wildcards.method}} on {{wildcards.task}}, seeds {'_'.join(map(str, seeds))}"
        shell:
            "dql train {wildcards.task:q} {wildcards.method:q} {params.seeds}"
            " {params.options} --threads {threads} --foreign-checkpoint discard"
            " > {log:q} 2>&1"
