"""What the training rules ask: blocks of runs, data, resources, priorities."""

ANY_TASK = ("{task}",)
"""Of a block whose rule trains one task, whichever is asked for."""


def training_blocks():
    """Yield the blocks of runs that one job trains together.

    As (name, suite, seeds, block, tasks, methods): the names of the tasks trained
    together or `ANY_TASK`, and regular expressions. A block with restored runs trains
    the rest of its seeds, task by task.
    """
    for suite, sizes in PROJECT.scale.suites.items():
        for start in range(0, len(sizes.seeds), sizes.seeds_per_job):
            seeds = sizes.seeds[start : start + sizes.seeds_per_job]
            block = "_".join(map(str, seeds))
            groups = without_restored(suite, tuple(seeds))
            for number, (rest, *which) in enumerate(groups):
                name = f"{suite}_seeds_{block}" + (f"_part_{number}" if number else "")
                yield name, suite, list(rest), *which


def without_restored(suite, seeds):
    """Yield (seeds, block, tasks, methods) of what is left of a block to train."""
    rest = {}
    for task, method, seed in RESTORED:
        if PROJECT.task(task).suite == suite and seed in seeds:
            left = rest.setdefault((task, method), seeds)
            rest[task, method] = tuple(one for one in left if one != seed)
    touched = {task for task, _ in rest}
    together = [
        block for block in task_blocks(PROJECT, suite) if not touched & set(block.tasks)
    ]
    shared = {task for block in together for task in block.tasks}
    alone = touched | shared
    whole = [task for task in PROJECT.suite(suite).tasks if task not in alone]
    yield seeds, ANY_TASK, any_of(whole), r"[^/]+"
    for block in together:
        yield seeds, block.tasks, any_of(block.tasks), any_of(block.methods)
        yield seeds, ANY_TASK, any_of(block.tasks), none_of(block.methods)
    for task in sorted(touched):
        methods = [method for name, method in rest if name == task]
        yield seeds, ANY_TASK, any_of([task]), none_of(methods)
        for left in sorted({rest[task, method] for method in methods} - {()}):
            some = [method for method in methods if rest[task, method] == left]
            yield left, ANY_TASK, any_of([task]), any_of(some)


def tasks_of(block, wildcards):
    """Return the tasks that a job trains together."""
    return [wildcards.task] if block == ANY_TASK else block


def of_block(block, files_of):
    """Return the input function for the files of a block's tasks, by that of one."""
    if block == ANY_TASK:
        return files_of

    def files(wildcards):
        cells = [SimpleNamespace(task=task, method=wildcards.method) for task in block]
        found = [files_of(cell) for cell in cells]
        listed = [[one] if isinstance(one, str) else one for one in found]
        return [file for files in listed for file in files]

    return files


def cell_options(block):
    """Return the parameter function for a job's tasks and method for `dql train`."""

    def options(wildcards):
        first, *others = tasks_of(block, wildcards)
        words = [first, wildcards.method]
        return shlex.join(
            words + [word for task in others for word in ("--also", task)]
        )

    return options


def training_manifest(wildcards):
    """Return the manifest of a task's dataset; the bandit's is drawn by each run."""
    task = PROJECT.task(wildcards.task)
    return [] if task.suite == "bandit" else str(paths.dataset_manifest(task.name))


def training_data(wildcards):
    """Return a task's big data files, which must exist but whose dates mean nothing.

    A variant's are those of the tasks it is made of. A user's own file stands for
    itself: there is no manifest that changes with it.
    """
    task = PROJECT.task(wildcards.task)
    if task.dataset.source == "file":
        return os.path.relpath(paths.own_file(task.dataset.path))
    if task.suite == "bandit":
        return []
    files = map(paths.dataset_file, sources_of_variant(task.name))
    return [ancient(str(file)) for file in files]


def offline_run_files(seeds):
    """Return a function: the files of the runs that online continuations begin with."""

    def files(wildcards):
        online = PROJECT.online(wildcards.task, wildcards.method)
        if online is None or online.start == "scratch":
            return []
        method = offline_method(wildcards.method)
        folders = [paths.run_directory(wildcards.task, method, seed) for seed in seeds]
        return [str(folder / paths.PROVENANCE_FILE) for folder in folders]

    return files


# What a cluster is asked for. Measured peaks on CPUs (`runs.csv` of results/kept) are 0.7 GB
# for three bandit runs in a process and 1.8 for one on two million transitions; a CUDA
# context takes gigabytes of its own.
TRAINING_MEMORY_MB = {"bandit": 4000}
OTHER_TRAINING_MEMORY_MB = 12000
# A cluster's training asks for a GPU, and no GPU has been timed: three times the 2 ms a
# step of six Diffusion-QL runs is to take on an H100, and as much for the evaluations.
# A job that is cut resumes when it is submitted again, and asks for twice the time.
SECONDS_PER_STEP = 0.012
# Partitions have limits.
MAX_MINUTES = 24 * 60
# Physics beside a GPU, run by run. On a processor a job is one thread: more would share
# out the episodes, and a run's numbers hang on that to rounding.
HAS_GPU = is_gpu_here()
MAX_EVALUATION_THREADS = 4


def grows_by_attempt(megabytes):
    """Return a resource function: more memory whenever a job is tried again."""

    def memory(wildcards, attempt):
        return megabytes * attempt

    return memory


def training_memory(suite, block=ANY_TASK):
    """Return the resource function for the memory of a suite's training jobs, MB."""
    own = TRAINING_MEMORY_MB.get(suite, OTHER_TRAINING_MEMORY_MB)
    return grows_by_attempt(own + (len(block) - 1) * own // 2)


def training_threads(seeds, block=ANY_TASK):
    """Return the threads of the job that trains a block of runs."""
    return min(len(seeds) * len(block), MAX_EVALUATION_THREADS) if HAS_GPU else 1


def training_minutes(block=ANY_TASK):
    """Return the resource function for the time limit of training jobs."""

    def minutes(wildcards, attempt):
        cell = tasks_of(block, wildcards)[0], wildcards.method
        run = PROJECT.run_config(*cell, PROJECT.seeds(*cell)[0])
        steps = run.training.num_gradient_steps
        needed = 30 + steps * SECONDS_PER_STEP / 60
        return min(round(needed * 2 ** (attempt - 1)), MAX_MINUTES)

    return minutes


def run_parameters(block):
    """Return the function for what decides runs besides data and seed.

    That is code and settings, of each task.
    """

    def parameters(wildcards):
        cells = [(task, wildcards.method) for task in tasks_of(block, wildcards)]
        try:
            runs = [
                PROJECT.run_config(*cell, PROJECT.seeds(*cell)[0]) for cell in cells
            ]
        except UserError as error:
            raise WorkflowError(str(error))
        found = [fingerprint.run_parameters(run) for run in runs]
        return found[0] if block == ANY_TASK else found

    return parameters


REMADE_CELLS = PROJECT.cells({"remade"} & PROJECT.scale.suites.keys())
CAMPAIGN = {
    run: position
    for suite in PROJECT.scale.suites.values()
    if suite.stages
    for position, run in enumerate(reversed(suite.runs()))
}
"""Runs of stages, the first wanted with the highest number."""
CAMPAIGN_PRIORITY = 1000
"""Above all that has no stage."""


def training_priority(seeds, block):
    """Return the function for a job's priority: stages, first figures, longer jobs.

    Long jobs that start first leave no core waiting for the last of them alone. The
    bandit's jobs differ by the length of the reverse chain, and are the shorter ones.
    """

    def priority(wildcards):
        task, method = tasks_of(block, wildcards)[0], wildcards.method
        position = max(CAMPAIGN.get((task, method, seed), -1) for seed in seeds)
        if position >= 0:
            return CAMPAIGN_PRIORITY + 2 * position
        if PROJECT.task(task).suite != "bandit":
            return 100
        length = PROJECT.settings(task, method).get("num_denoising_steps", 0)
        return first_figure_priority(task, method) + length

    return priority


def data_priority(wildcards):
    """Return the priority of making a task's data: just above its first run to come."""
    positions = [
        place
        for run, place in CAMPAIGN.items()
        if wildcards.task in (run[0], *sources_of_variant(run[0]))
        and not (paths.run_directory(*run) / paths.PROVENANCE_FILE).exists()
    ]
    return CAMPAIGN_PRIORITY + 2 * max(positions) + 1 if positions else 200
