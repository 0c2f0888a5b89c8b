"""Runs: one job trains a block of seeds of one method on one task, in one process.

The rules differ in the seeds of their block only. A run's files are the same whatever
block it was trained in, and its checkpoint is no declared output: Snakemake removes
those of a failed job, and a checkpoint must outlive it.
"""

for suite, seeds in seed_blocks():

    rule:
        name:
            f"train_{suite}_{'_'.join(map(str, seeds))}"
        input:
            manifest=training_manifest,
            data=training_data,
        output:
            expand(
                "results/runs/{{task}}/{{method}}/seed{seed}/{file}",
                seed=seeds,
                file=SUITE_RUN_FILES[suite],
            ),
        log:
            f"results/logs/train/{{task}}/{{method}}/seeds{'-'.join(map(str, seeds))}.log",
        benchmark:
            f"results/benchmarks/train/{{task}}/{{method}}/seeds{'-'.join(map(str, seeds))}.tsv"
        params:
            made_by=run_parameters,
            seeds=seed_options(seeds),
            options=scale_options,
        wildcard_constraints:
            task=any_of(PROJECT.suite(suite).tasks),
        resources:
            gpu=1,
        conda:
            "../../environment.yml"
        message:
            f"Train {{wildcards.method}} on {{wildcards.task}}, seeds {' '.join(map(str, seeds))}"
        shell:
            "dql train {wildcards.task} {wildcards.method} {params.seeds}"
            " {params.options} --foreign-checkpoint discard 2>&1 | tee {log}"
