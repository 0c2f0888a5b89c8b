"""`dql figure` and `dql action-samples`: figures from stored results and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.bandit import bandit_folders
from dql.cli.options import Changes, Method, Scale, Task, load
from dql.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from dql.config.project import Project

FORMATS = ("pdf", "png")


def figure(
    name: Annotated[
        str, typer.Argument(help="For example: bandit_axes, local_learning_curves.")
    ],
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Draw a figure as pdf and png from stored results.

    Of the bandit: bandit_axes, bandit_corners, bandit_eta, bandit_denoising_steps,
    bandit_as_released, bandit_modes, bandit_trajectories. Of any other suite, as
    SUITE_NAME: learning_curves, loss_against_score, selection_gap,
    performance_profiles and, with three values of eta, action_modes. Files go to
    figures/SUITE.

    Example: dql figure local_learning_curves
    """
    project = load(scale, changes)
    from dql.figures import registry as figures

    outputs = [paths.figure_file(name, extension) for extension in FORMATS]
    suite_and_kind = figures.split_suite_figure(name)
    if suite_and_kind:
        suite, kind = suite_and_kind
        if kind == figures.ACTION_MODES:
            samples = action_sample_files(project, suite)
            figures.draw_action_modes(samples, outputs)
            return
        figures.draw_suite_figure(kind, cell_files(project, suite), outputs)
        return
    figures.figure_content(name)
    figures.draw_figure(name, bandit_folders(project), paths.BANDIT_SUMMARY, outputs)


def action_samples(
    task: Task, method: Method, scale: Scale = None, changes: Changes = None
) -> None:
    """Count the modes that a cell's policies keep in states of their dataset.

    Writes results/action_samples/TASK/METHOD.csv, a row per seed and state, for the
    figure SUITE_action_modes.

    Example: dql action-samples local-hopper-medium-expert diffusion_ql@eta=0
    """
    project = load(scale, changes)
    seeds = project.seeds(task, method)
    # Without seeds, asking for one is the error that names a scale with some.
    configs = [project.run_config(task, method, seed) for seed in seeds or [0]]
    from dql.diagnostics.action_samples import store_action_samples

    store_action_samples(configs)


def cell_files(project: Project, suite: str) -> list[Path]:
    """List the files of the cells of a suite that a scale trains; all must be there."""
    cells = project.cells([suite])
    if not cells:
        raise UserError(
            f"suite '{suite}' has no runs at scale '{project.config.scale}'; another "
            "scale may: --scale paper"
        )
    return _present([paths.cell_file(*cell) for cell in cells], "cells")


def action_sample_files(project: Project, suite: str) -> list[Path]:
    """List the action samples of a suite's sweep of eta; all must be there."""
    from dql.figures.registry import MIN_ETAS, eta_cells

    cells = eta_cells(project.cells([suite]))
    if not cells:
        raise UserError(
            f"no task of suite '{suite}' has {MIN_ETAS} values of eta at scale "
            f"'{project.config.scale}'; --scale ablations has. Name more in "
            "workflow/config/scales, such as diffusion_ql@eta=0"
        )
    files = [paths.action_samples_file(*cell) for cell in cells]
    return _present(files, "action samples")


def _present(files: list[Path], what: str) -> list[Path]:
    """Return the files; where some are missing, say how to make them."""
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} {what} are not there; make them with: "
            f"snakemake {missing[0]}"
        )
    return files
