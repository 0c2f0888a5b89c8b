"""What the rules of datasets ask: policies, parameters, figures."""


def behavior_policies(wildcards):
    """Return the policies that a task's data are rolled out with, if any."""
    task = PROJECT.task(wildcards.task)
    environment = task.environment
    if task.dataset.quality == "random":
        return []
    if task.dataset.parts:
        names = [part.policy for part in task.dataset.parts]
        return [str(published_weights(name).stored) for name in names]
    if environment.startswith("pointmaze") or task.dataset.source != "local":
        return []
    folder = paths.behavior_directory(environment)
    return [str(folder / name) for name in POLICY_FILES]


def made_with_manifest(*sources):
    """Return the tasks of these sources whose manifest is not a restored one."""
    return [
        name
        for source in sources
        for name in suite_names(source)
        if name not in HELD_TASKS
    ]


def is_data_gone(task):
    """Tell whether a task's manifest was restored without the data it describes."""
    return task in HELD_TASKS and not paths.dataset_file(task).is_file()


def held_tasks(suffix):
    """Return the tasks whose data can only be made again, in folders named like this."""
    return [
        task
        for task in sorted(HELD_TASKS)
        if is_data_gone(task) and paths.minari_id(task) == f"{task}{suffix}"
    ]


def drawn_here(*sources):
    """Return the tasks of these sources whose data are here or will be."""
    names = [name for source in sources for name in suite_names(source)]
    return [name for name in names if not is_data_gone(name)]


def is_figure_there(name):
    """Tell whether a figure's files are there."""
    return all(paths.figure_file(name, kind).is_file() for kind in ("pdf", "png"))


def behavior_parameters(wildcards):
    """Return what decides an environment's behavior policies: kept files or a training."""
    budget = PROJECT.suite("local").behavior
    folder = kept_folder(wildcards.environment, PROJECT.config, budget)
    if folder is not None:
        return digest(*[file_sha256(folder / name) for name in POLICY_FILES])
    others = fingerprint.other_families(wildcards.environment)
    code = fingerprint.code_fingerprint(
        "dql.training.behavior",
        "dql.agents.sac",
        without=others | fingerprint.VARIED_MODULES,
    )
    settings = budget.model_dump(), agent_settings(), PROJECT.config.physics
    return f"{code}-{digest(*settings)}"


def dataset_parameters(wildcards):
    """Return what decides a task's dataset besides its policies: code and sizes."""
    task = PROJECT.task(wildcards.task)
    maker = {
        "local": "dql.data.local",
        "remade": "dql.data.remade",
        "d4rl": "dql.data.d4rl",
        "minari": "dql.data.minari_remote",
    }[task.dataset.source]
    if task.dataset.quality == "random":
        maker = "dql.data.random_actions"
    elif task.environment.startswith("pointmaze"):
        maker = "dql.data.pointmaze"
    if task.dataset.multigoal is not None:
        maker = "dql.data.antmaze"
    decided = digest(task.dataset.model_dump(), task.environment, task.physics)
    others = fingerprint.other_families(task.environment)
    if task.dataset.parts:  # however the weights came, their digest is checked
        others |= {
            "dql.data.download",
            "dql.data.policy_weights",
            "dql.results.published",
        }
        decided += f"-{file_sha256(paths.PUBLISHED / STATES_FILE)[:16]}"
    return f"{fingerprint.code_fingerprint(maker, without=others)}-{decided}"


def sources_of_variant(task):
    """Return the tasks whose rows a variant is made of."""
    variant = PROJECT.task(task).dataset.variant
    random = random_task(PROJECT.task(task).environment)
    return [base_task(task), *([random] if variant and variant.random_share else [])]


def variants_to_describe():
    """Return the variants whose manifests are written here: those with a run to train.

    Where the base is made again on another processor its rows are siblings of the
    restored ones, and so are a variant's. To describe one takes the base's rows: where
    all its runs were restored, so is its manifest.
    """
    to_train = {run[0] for run in PROJECT.runs() if run not in RESTORED}
    return [task for task in VARIED_TASKS if task not in HELD_TASKS - to_train]


def variant_manifests(wildcards):
    """Return the manifests of the data that a variant is made of."""
    sources = sources_of_variant(wildcards.task)
    return [str(paths.dataset_manifest(task)) for task in sources]


def variant_parameters(wildcards):
    """Return what decides a variant besides the rows it is made of: code and levels."""
    variant = PROJECT.task(wildcards.task).dataset.variant.model_dump()
    return f"{fingerprint.code_fingerprint('dql.data.variants')}-{digest(variant)}"


def weights_parameters(wildcards):
    """Return what decides a published policy's arrays: their digest."""
    return published_weights(wildcards.policy).arrays_sha256


def data_figure_parameters(wildcards):
    """Return what decides the figure of a dataset besides its rows: code and style."""
    code = fingerprint.code_fingerprint("dql.figures.dataset")
    style = digest(paths.STYLE.read_text("utf-8"))
    return f"{code}-{style}"


DATA_FIGURE_TARGETS = [
    str(paths.figure_file(paths.data_figure(task), extension))
    for task in PROJECT.suite("local").tasks
    if not is_varied(task)
    if not is_data_gone(task) or is_figure_there(paths.data_figure(task))
    for extension in ("pdf", "png")
]


REMADE = PROJECT.scale.suites.get("remade")
# Of data that are gone, what was restored of their comparison.
REMADE_TASKS = [
    task
    for task in (REMADE.tasks if REMADE else [])
    if not is_varied(task)
    if not is_data_gone(task) or paths.comparison_file(task).is_file()
]
COMPARISON_TARGETS = (
    [str(paths.table_file("remade_data", extension)) for extension in tables.EXTENSIONS]
    if REMADE_TASKS
    else []
)


def ruler_models(wildcards):
    """Return the models that measure how far remade data are from D4RL's."""
    task = PROJECT.task(wildcards.task)
    if task.dataset.multigoal is not None:  # none is published of AntMaze
        return []
    names = [f"{kind}-{task.namesake}" for kind in ("states", "actions")]
    return [str(published_weights(name).stored) for name in names]


def comparison_parameters(wildcards):
    """Return what decides a comparison besides the data: code, facts of D4RL, style."""
    modules = ("dql.data.comparison", "dql.figures.remade_data")
    if PROJECT.task(wildcards.task).dataset.multigoal is not None:
        modules = ("dql.data.maze_comparison", "dql.figures.remade_mazes")
    code = fingerprint.code_fingerprint(*modules)
    facts = [path.read_text() for path in sorted(paths.PUBLISHED.glob("d4rl_*.csv"))]
    return f"{code}-{digest(facts, paths.STYLE.read_text())}"


def comparison_table_parameters(wildcards):
    """Return what decides the table of comparisons besides them: code."""
    return fingerprint.code_fingerprint("dql.tables.remade_data")
