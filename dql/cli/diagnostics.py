"""What is asked of finished policies: action-samples, stability, episode, ways."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.options import Changes, Scale, check_one_or_all, load
from dql.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from dql.config.project import Project
    from dql.config.schema import RunConfig

logger = logging.getLogger(__name__)

OneTask = Annotated[str | None, typer.Argument(help="A task of tasks.yaml.")]
OneMethod = Annotated[str | None, typer.Argument(help="A method.")]
Seed = Annotated[int, typer.Option(help="The run's seed.")]


def action_samples(
    task: OneTask = None,
    method: OneMethod = None,
    seed: Seed = 0,
    every: Annotated[
        bool, typer.Option("--all", help="All of the scale's sweeps of eta.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Count the modes that a finished run's policy keeps in states of its dataset.

    Writes results/action_samples/TASK/METHOD/seedS.csv, a row per state, for the
    figure SUITE_action_modes. --all takes the runs that have finished.

    Example: dql action-samples local-hopper-medium-expert diffusion_ql@eta=0
    """
    check_one_or_all("action-samples", task, method, every)
    project = load(scale, changes)
    from dql.diagnostics.action_samples import store_action_samples
    from dql.figures.registry import eta_cells

    if every:
        cells = eta_cells(project.cells(project.scale.suites))
        _measure_finished(
            project, cells, paths.action_samples_file, store_action_samples
        )
        return
    run = project.run_config(task, method, seed)
    store_action_samples(run, paths.run_directory(task, method, seed))


def stability(
    task: OneTask = None,
    method: OneMethod = None,
    seed: Seed = 0,
    every: Annotated[
        bool, typer.Option("--all", help="All runs that the table stability reads.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Let a finished run's last policy play a hundred episodes in every way it can.

    The online and the EMA network, each with 1, 10, 50 candidates and its own number;
    agents without them have one way. Writes results/stability/TASK/METHOD/seedS.csv, a
    row per episode, for the table stability. --all takes the runs that have finished.

    Example: dql stability remade-hopper-medium diffusion_ql --scale evidence
    """
    check_one_or_all("stability", task, method, every)
    project = load(scale, changes)
    import torch

    from dql.diagnostics.stability import store_stability
    from dql.tables.registry import measured_cells
    from dql.training.process import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    if every:
        cells = measured_cells(project, "stability")
        _measure_finished(project, cells, paths.stability_file, store_stability)
        return
    run = project.run_config(task, method, seed)
    store_stability(run, paths.run_directory(task, method, seed))


def episode(
    task: OneTask = None,
    method: OneMethod = None,
    seed: Seed = 0,
    every: Annotated[
        bool, typer.Option("--all", help="All that the figures of stills show.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Record the median episode of a finished run's last evaluation, to be drawn.

    Writes results/episodes/TASK/METHOD/seedS.npz, the bodies' positions at every step,
    for the figures SUITE_stills_TASK and dql film. Runners and mazes are drawn. --all
    takes the lowest seeds' runs that have finished.

    Example: dql episode local-hopper-medium-expert diffusion_ql
    """
    check_one_or_all("episode", task, method, every)
    project = load(scale, changes)
    import torch

    from dql.diagnostics.episodes import store_episode
    from dql.figures.registry import STILLS_SUITES, compared_cells

    torch.set_num_threads(1)
    if every:
        suites = [suite for suite in project.scale.suites if suite in STILLS_SUITES]
        cells = [c for suite in suites for c in compared_cells(project.cells([suite]))]
        _measure_finished(
            project, cells, paths.episode_file, store_episode, lowest_seed=True
        )
        return
    run = project.run_config(task, method, seed)
    store_episode(run, paths.run_directory(task, method, seed))


def ways(
    task: OneTask = None,
    method: OneMethod = None,
    seed: Seed = 0,
    every: Annotated[
        bool, typer.Option("--all", help="All that the figures of ways show.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Count which of two equally good ways a finished run's last policy takes.

    Ten starts, ten episodes from each, with one candidate and as many as the run was
    evaluated with. Writes results/ways/TASK/METHOD/seedS.csv, a row per episode, for
    the figure SUITE_ways. --all takes the runs that have finished.

    Example: dql ways local-pointmaze-twoways diffusion_ql --scale twoways
    """
    check_one_or_all("ways", task, method, every)
    project = load(scale, changes)
    import torch

    from dql.diagnostics.ways import store_ways
    from dql.figures.registry import way_cells

    torch.set_num_threads(1)
    if every:
        cells = way_cells(project.cells(project.scale.suites))
        _measure_finished(project, cells, paths.ways_file, store_ways)
        return
    run = project.run_config(task, method, seed)
    store_ways(run, paths.run_directory(task, method, seed))


def _measure_finished(
    project: Project,
    cells: Iterable[tuple[str, str]],
    file_of: Callable[..., Path],
    store: Callable[[RunConfig, Path], Path],
    *,
    lowest_seed: bool = False,
) -> None:
    """Measure the cells' finished runs that have a checkpoint and no newer file."""
    from dql.results.restored import lacks_checkpoint

    for task, method in cells:
        seeds = sorted(project.seeds(task, method))
        for seed in seeds[:1] if lowest_seed else seeds:
            file = file_of(task, method, seed)
            directory = paths.run_directory(task, method, seed)
            end = directory / paths.PROVENANCE_FILE
            if not end.is_file() or lacks_checkpoint((task, method, seed)):
                continue
            if file.is_file() and file.stat().st_mtime > end.stat().st_mtime:
                continue
            try:
                store(project.run_config(task, method, seed), directory)
            except UserError as error:
                logger.warning("not measured: %s", error)
