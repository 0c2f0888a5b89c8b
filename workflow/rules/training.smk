"""Runs: one job trains a block of seeds of one method, in one process.

The rules differ in the runs of their block only: seeds of a task or, where the scale
wants it (tasks_per_job), of several. A run's files are the same whatever block it was
trained in, and its checkpoint is no declared output: Snakemake removes those of a failed
job, and a checkpoint must outlive it.
"""

for name, suite, seeds, block, tasks, methods in training_blocks():

    rule:
        name:
            f"train_{name}"
        input:
            manifest=of_block(block, training_manifest),
            data=of_block(block, training_data),
            start=of_block(block, offline_run_files(seeds)),
        output:
            expand(
                "results/runs/{task}/{{method}}/seed{seed}/{file}",
                task=block,
                seed=seeds,
                file=SUITE_RUN_FILES[suite],
            ),
        log:
            f"results/logs/train/{'+'.join(block)}/{{method}}/seeds_{'_'.join(map(str, seeds))}.log",
        benchmark:
            f"results/benchmarks/train/{'+'.join(block)}/{{method}}/seeds_{'_'.join(map(str, seeds))}.tsv"
        wildcard_constraints:
            task=tasks,
            method=methods,
        priority: training_priority(seeds, block)
        conda:
            "../../environment.yml"
        threads: training_threads(seeds, block)
        resources:
            gpu=1,
            mem_mb=training_memory(suite, block),
            runtime=training_minutes(block),
        params:
            made_by=run_parameters(block),
            cells=cell_options(block),
            seeds=seed_options(seeds),
            options=scale_options,
        message:
            f"Train {{wildcards.method}} on {' and '.join(block).replace('{task}', '{wildcards.task}')}, seeds {'_'.join(map(str, seeds))}"
        shell:
            "dql train {params.cells} {params.seeds}"
            " {params.options} --threads {threads} --foreign-checkpoint discard"
            " > {log:q} 2>&1"
