"""What the rules of diagnostics ask: the runs that can be asked, and by what code."""

MEASURING_PRIORITY = 10_000
"""Above all training: a machine, and a checkpoint with it, may go at any time."""

ROLLED_OUT_TASKS = [
    name for name, task in PROJECT.tasks.items() if task.suite != "bandit"
]
"""Where a policy acts in more than one state."""


def one_run_files(wildcards):
    """Return the files of the run that is asked."""
    folder = paths.run_directory(wildcards.task, wildcards.method, wildcards.seed)
    suite = PROJECT.task(wildcards.task).suite
    return [str(folder / file) for file in SUITE_RUN_FILES[suite]]


def with_checkpoints(tasks):
    """Return the regular expression of tasks in paths of runs with a checkpoint.

    It looks ahead: the task is followed by method and seed.
    """
    gone = filter(lacks_checkpoint, sorted(RESTORED))
    runs = [f"{task}/{method}/seed{seed}" for task, method, seed in gone]
    return rf"(?!(?:{any_of(runs)})[./])(?:{any_of(tasks)})"


def measured_files(cells, file_of):
    """Return a diagnostic's file of every run of the cells.

    A restored run has no checkpoint: what was not measured before cannot be now.
    """
    runs = [(*cell, seed) for cell in cells for seed in PROJECT.seeds(*cell)]
    return [
        str(file_of(*run))
        for run in runs
        if file_of(*run).is_file() or not lacks_checkpoint(run)
    ]


def trajectory_parameters(wildcards):
    """Return what decides trajectories besides their run: code."""
    others = fingerprint.other_families("bandit")
    return fingerprint.code_fingerprint("dql.diagnostics.trajectories", without=others)


def action_sample_parameters(wildcards):
    """Return what decides action samples besides their runs: code."""
    environment = PROJECT.task(wildcards.task).environment
    others = fingerprint.other_families(environment)
    return fingerprint.code_fingerprint(
        "dql.diagnostics.action_samples", without=others
    )


def episode_parameters(wildcards):
    """Return what decides a recorded episode besides its run: code."""
    environment = PROJECT.task(wildcards.task).environment
    others = fingerprint.other_families(environment)
    return fingerprint.code_fingerprint("dql.diagnostics.episodes", without=others)


def ways_parameters(wildcards):
    """Return what decides a policy's ways besides its run: code."""
    environment = PROJECT.task(wildcards.task).environment
    others = fingerprint.other_families(environment)
    return fingerprint.code_fingerprint("dql.diagnostics.ways", without=others)


def stability_parameters(wildcards):
    """Return what decides a policy's episodes besides its run: code."""
    environment = PROJECT.task(wildcards.task).environment
    others = fingerprint.other_families(environment)
    return fingerprint.code_fingerprint("dql.diagnostics.stability", without=others)
