"""`dql figure`: figures from stored results."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.bandit import bandit_folders
from dql.cli.options import Changes, Scale, load, scales_with
from dql.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from dql.config.project import Project

logger = logging.getLogger(__name__)

FORMATS = ("pdf", "png")


def figure(
    name: Annotated[
        str | None,
        typer.Argument(help="For example: bandit_axes, local_learning_curves."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that the stored results suffice for.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Draw a figure as pdf and png from stored results.

    Of the bandit: bandit_axes, bandit_corners, bandit_eta, bandit_denoising_steps,
    bandit_as_released, bandit_modes, bandit_trajectories, bandit_classes. Of any
    other suite, as SUITE_NAME: learning_curves, loss_against_score, selection_gap,
    performance_profiles, medium_expert (learning curves of these data alone),
    other_methods (those not run on every task), sweeps (three values of a setting),
    online (runs that went on with fresh data), noise (variants of a task's data),
    stills_TASK (what the policies do on a task), ways (kept of two, in
    pointmaze-twoways) and, with three of eta, action_modes.
    Files go to figures/SUITE.

    Example: dql figure local_learning_curves
    """
    if every == bool(name):
        raise UserError("dql figure: name a figure, or --all")
    project = load(scale, changes)
    if not every:
        _draw(project, name)
        return
    from dql.figures.registry import all_figures

    suites = project.scale.suites
    for one in all_figures({suite: project.cells([suite]) for suite in suites}):
        try:
            _draw(project, one, partly=True)
        except UserError as error:
            logger.warning("not drawn: %s: %s", one, error)


def _draw(project: Project, name: str, *, partly: bool = False) -> None:
    """Draw one figure; `partly` from those of its files that are there."""
    from dql.figures import registry as figures
    from dql.tables.suite_titles import suite_name

    outputs = [paths.figure_file(name, extension) for extension in FORMATS]
    suite, kind = figures.split_suite_figure(name) or ("bandit", "")
    if not kind:
        figures.figure_content(name)
        figures.draw_figure(name, bandit_folders(project), outputs)
    elif kind == figures.STILLS:
        task = figures.stills_task(name)
        files = episode_files(project, task, partly=partly)
        title = f"{suite_name(suite)}; {task}" if suite_name(suite) else task
        unseen = [project.label(method) for method in unseen_methods(project, task)]
        figures.draw_stills(files, outputs, title, unseen)
    elif kind == figures.WAYS:
        _draw_ways(project, suite, outputs, partly=partly)
    elif kind == figures.ACTION_MODES:
        samples = action_sample_files(project, suite, partly=partly)
        figures.draw_action_modes(samples, outputs, suite_name(suite))
    else:
        cells = cell_files(project, suite, kind, partly=partly)
        min_steps = project.config.min_steps_to_rank
        figures.draw_suite_figure(kind, cells, outputs, min_steps)


def _draw_ways(
    project: Project, suite: str, outputs: list[Path], *, partly: bool
) -> None:
    """Draw how many of a task's equally good ways a suite's policies keep."""
    from dql.figures import registry as figures
    from dql.tables.suite_titles import suite_name

    cells = figures.way_cells(project.cells([suite]))
    if not cells:
        raise UserError(
            f"suite '{suite}' has no task with equally good ways at scale "
            f"'{project.config.scale}'; --scale twoways has"
        )
    runs = [(*cell, seed) for cell in cells for seed in project.seeds(*cell)]
    files = _present(
        project, [paths.ways_file(*run) for run in runs], "ways", partly=partly
    )
    steps = project.suite(suite).training.num_gradient_steps
    labels = {method: project.label(method) for _, method in cells}
    title = f"{suite_name(suite)}; two equally good ways, {steps:,} gradient steps"
    figures.draw_ways(files, labels, outputs, title)


def cell_files(
    project: Project, suite: str, kind: str, *, partly: bool = False
) -> list[Path]:
    """List the files of the cells that a kind of a suite's figures shows.

    All must be there; `partly`, those that are.
    """
    from dql.figures.registry import SUITE_FIGURES

    if not project.cells([suite]):
        raise UserError(
            f"suite '{suite}' has no runs at scale '{project.config.scale}'"
            f"{scales_with(lambda other: other.cells([suite]))}"
        )
    cells = SUITE_FIGURES[kind].cells(project.cells([suite]))
    if not cells:
        raise UserError(
            f"suite '{suite}' has nothing for a figure of {kind} at scale "
            f"'{project.config.scale}'"
        )
    files = [paths.cell_file(*cell) for cell in cells]
    return _present(project, files, "cells", partly=partly)


def action_sample_files(
    project: Project, suite: str, *, partly: bool = False
) -> list[Path]:
    """List the action samples of a suite's sweep of eta; `partly`, those there."""
    from dql.figures.bandit_content import MIN_ETAS
    from dql.figures.registry import eta_cells
    from dql.results.restored import lacks_checkpoint

    cells = eta_cells(project.cells([suite]))
    if not cells:
        raise UserError(
            f"no task of suite '{suite}' has {MIN_ETAS} values of eta at scale "
            f"'{project.config.scale}'; --scale ablations has. Name more in "
            "workflow/config/scales, such as diffusion_ql@eta=0"
        )
    runs = [(*cell, seed) for cell in cells for seed in project.seeds(*cell)]
    files = [
        paths.action_samples_file(*run)
        for run in runs
        if paths.action_samples_file(*run).is_file() or not lacks_checkpoint(run)
    ]
    return _present(project, files, "action samples", partly=partly)


def film(
    task: Annotated[str, typer.Argument(help="A task of tasks.yaml.")],
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Make an animated GIF of what the policies trained on a task do.

    From the episodes that dql episode has recorded, a row a method. Of hopper, walker2d
    and halfcheetah; figures/films/TASK.gif.

    Example: dql film local-hopper-medium-expert
    """
    project = load(scale, changes)
    from dql.figures.film import check_filmed, write_film
    from dql.results.episodes import read_episode

    row = project.task(task)
    check_filmed(row.environment, task, row.suite)
    files = episode_files(project, task, partly=True)
    write_film(list(map(read_episode, files)), paths.film_file(task))
    logger.info("%s", paths.film_file(task))


def episode_files(project: Project, task: str, *, partly: bool = False) -> list[Path]:
    """List the recorded episodes of a task's figure; `partly`, those there."""
    cells = _stills_cells(project, task)
    if not cells:
        raise UserError(
            f"no method that is compared runs on task '{task}' at scale "
            f"'{project.config.scale}'"
            f"{scales_with(lambda other: _stills_cells(other, task))}"
        )
    unseen = unseen_methods(project, task)
    files = [
        paths.episode_file(*cell, min(project.seeds(*cell)))
        for cell in cells
        if cell[1] not in unseen
    ]
    return _present(project, files, "recorded episodes", partly=partly)


def _stills_cells(project: Project, task: str) -> list[tuple[str, str]]:
    from dql.figures.registry import stills_cells

    return stills_cells(task, project.cells([project.task(task).suite]))


def unseen_methods(project: Project, task: str) -> list[str]:
    """List the methods that a task's stills lack: restored runs, recorded nowhere."""
    from dql.results.restored import lacks_checkpoint

    cells = _stills_cells(project, task)
    runs = [(*cell, min(project.seeds(*cell))) for cell in cells]
    return [
        run[1]
        for run in runs
        if lacks_checkpoint(run) and not paths.episode_file(*run).is_file()
    ]


def _present(
    project: Project, files: list[Path], what: str, *, partly: bool
) -> list[Path]:
    """Return the files; where some (`partly`: all) are missing, say so."""
    missing = [str(file) for file in files if not file.is_file()]
    if partly and len(missing) < len(files):
        return [file for file in files if file.is_file()]
    if not files:
        raise UserError(f"no run has a checkpoint of which {what} could be made")
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} {what} are not there; make them with: "
            f"snakemake {missing[0]} --config scale={project.config.scale}"
        )
    return files
