"""What the rules of figures and of the bandit's verdicts ask."""


def bandit_claims_parameters(wildcards):
    """Return what decides the verdicts besides the summary: code and the claims."""
    code = fingerprint.code_fingerprint("dql.claims.bandit")
    claims = digest(paths.CLAIMS.read_text("utf-8"))
    return f"{code}-{claims}"


BANDIT_CELLS = PROJECT.cells(["bandit"])

BANDIT_FIGURES = [
    name for name in figures.FIGURES if figures.figure_cells(name, BANDIT_CELLS)
]
SUITES_WITH_CELLS = [
    suite
    for suite in PROJECT.scale.suites
    if suite != "bandit" and PROJECT.cells([suite])
]


def episode_runs(task):
    """Return the runs whose episodes a task's stills show: of the lowest seeds.

    A restored run without a recorded episode has no checkpoint to record one with.
    """
    cells = figures.stills_cells(task, PROJECT.cells([PROJECT.task(task).suite]))
    runs = [(*cell, min(PROJECT.seeds(*cell))) for cell in cells]
    return [
        run
        for run in runs
        if paths.episode_file(*run).is_file() or not lacks_checkpoint(run)
    ]


def can_be_drawn(name):
    """Return whether anything is there, or can be made, that a figure shows."""
    task = figures.stills_task(name)
    return task is None or bool(episode_runs(task))


SUITE_FIGURES = {
    suite: list(
        filter(can_be_drawn, figures.suite_figures(suite, PROJECT.cells([suite])))
    )
    for suite in SUITES_WITH_CELLS
}
STILLS_TASKS = [
    task
    for names in SUITE_FIGURES.values()
    for task in map(figures.stills_task, names)
    if task
]
NO_RUNNERS = fingerprint.ENVIRONMENT_MODULES.keys()  # without loading the simulator
FILM_TASKS = [
    task
    for task in STILLS_TASKS
    if PROJECT.task(task).environment.partition("-")[0] not in NO_RUNNERS
]


def episode_files(wildcards):
    """Return the recorded episodes that a task's stills show."""
    return [str(paths.episode_file(*run)) for run in episode_runs(wildcards.task)]


def suites_with(kind):
    """Return the suites that have a kind of figure."""
    return [
        suite
        for suite, names in SUITE_FIGURES.items()
        if figures.suite_figure(suite, kind) in names
    ]


def figure_files(name):
    """Return a figure's files."""
    return [str(paths.figure_file(name, extension)) for extension in ("pdf", "png")]


def suite_figure_files(suites):
    """Return the files of all figures of these suites."""
    names = [name for suite in suites for name in SUITE_FIGURES.get(suite, [])]
    return [file for name in names for file in figure_files(name)]


# There is something to look at within minutes: the figure whose runs are the shortest,
# then the paper's own. Each has the runs it shows made before any others.
FIRST_FIGURES = [
    name for name in ("bandit_as_released", "bandit_axes") if name in BANDIT_FIGURES
]
FIRST_CELLS = {
    name: set(figures.figure_cells(name, BANDIT_CELLS)) for name in FIRST_FIGURES
}
FIRST_PRIORITY = 500
"""Above data and runs on them (200 at most), below runs of stages."""


def first_figure_priority(task, method):
    """Return what a run's priority gains from the first figure that shows it, if any."""
    for place, cells in enumerate(FIRST_CELLS.values()):
        if (task, method) in cells:
            return FIRST_PRIORITY - 100 * place
    return 0


def drawing_priority(name):
    """Return the priority of drawing: a first figure is drawn once its runs are there."""
    return FIRST_PRIORITY + 100 if name in FIRST_FIGURES else 0


BANDIT_TARGETS = (
    [str(paths.BANDIT_SUMMARY), str(paths.BANDIT_CLAIMS)]
    + [file for name in BANDIT_FIGURES for file in figure_files(name)]
    if BANDIT_CELLS
    else []
)
FIGURE_TARGETS = suite_figure_files(SUITES_WITH_CELLS)


def bandit_trajectories():
    """Return the trajectories that are drawn: of the lowest seed, as samples are."""
    name = "bandit_trajectories"
    if name not in BANDIT_FIGURES:
        return []
    seed = min(PROJECT.suite("bandit").seeds)
    return [
        str(paths.run_directory(*cell, seed) / paths.TRAJECTORIES_FILE)
        for cell in figures.figure_cells(name, BANDIT_CELLS)
    ]


def bandit_figure_files(name):
    """Return the files of the runs that a figure of the bandit shows."""
    files = run_files(figures.figure_cells(name, BANDIT_CELLS))
    return files + (bandit_trajectories() if name == "bandit_trajectories" else [])


def figure_parameters(module, cells):
    """Return what decides a figure besides its data: code, style and names."""
    code = fingerprint.code_fingerprint("dql.figures.registry", f"dql.figures.{module}")
    ranking = PROJECT.config.min_steps_to_rank
    style = digest(paths.STYLE.read_text("utf-8"), ranking)
    return f"{code}-{style}-{labels(cells)}"


def bandit_figure_parameters(name):
    """Return what decides a figure of the bandit besides its runs."""
    return figure_parameters(figures.figure_content(name).module, BANDIT_CELLS)


def suite_figure_parameters(kind):
    """Return a function: what decides a suite's figure besides its cells."""
    drawn = figures.SUITE_FIGURES.get(kind)
    drawn_by = drawn.module if drawn else kind

    def parameters(wildcards):
        return figure_parameters(drawn_by, PROJECT.cells([wildcards.suite]))

    return parameters


def recorded_episodes(suite):
    """Return the recorded episodes of all stills of a suite."""
    tasks = [task for task in STILLS_TASKS if PROJECT.task(task).suite == suite]
    return [
        str(paths.episode_file(*run)) for task in tasks for run in episode_runs(task)
    ]


def film_parameters(wildcards):
    """Return what decides a film besides the recorded episodes."""
    return figure_parameters("film", [])


def way_files(wildcards):
    """Return the ways that a suite's figure of them shows."""
    cells = figures.way_cells(PROJECT.cells([wildcards.suite]))
    return measured_files(cells, paths.ways_file)


def action_sample_files(wildcards):
    """Return the action samples of a suite's sweep of eta."""
    cells = figures.eta_cells(PROJECT.cells([wildcards.suite]))
    return measured_files(cells, paths.action_samples_file)


def suite_cells(kind):
    """Return a function: the files of the cells that a suite's figure shows."""

    def files(wildcards):
        cells = figures.SUITE_FIGURES[kind].cells(PROJECT.cells([wildcards.suite]))
        return [str(paths.cell_file(*cell)) for cell in cells]

    return files
