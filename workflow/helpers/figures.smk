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
SUITE_FIGURES = {
    suite: figures.suite_figures(suite, PROJECT.cells([suite]))
    for suite in SUITES_WITH_CELLS
}


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


# The report sorts by these; the numbers give the order of reading.
FIGURE_TITLES = {
    "bandit_axes": "1 modes on the axes, all methods",
    "bandit_corners": "2 modes in the corners, all methods",
    "bandit_denoising_steps": "3 number of denoising steps N",
    "bandit_eta": "4 weight eta of the Q term",
    "bandit_modes": "5 modes kept as eta grows",
    "bandit_trajectories": "6 reverse chains",
    "bandit_as_released": "7 supplement: panels as released",
    "learning_curves": "1 learning curves",
    "loss_against_score": "2 denoising loss against score",
    "selection_gap": "3 what choosing the best evaluation gains",
    "performance_profiles": "4 performance profiles",
    "action_modes": "5 modes kept as eta grows",
    "medium_expert": "0 learning curves on medium-expert data",
    "other_methods": "6 learning curves of methods not run on every task",
    "online": "8 going on with fresh data",
    "sweeps": "7 eta, N and other settings, one at a time",
}
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
