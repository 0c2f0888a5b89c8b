"""`dql data policies`, `roll-out` and `compare`: remade data, before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dql import paths
from dql.cli.options import AsJson, Changes, Scale, Task, load
from dql.cli.output import print_json
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.project import Project
    from dql.config.schema import TaskConfig


def policies(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Policies, or remade tasks for all of theirs."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="Look here first; default: $DQL_POLICY_DIR."),
    ] = None,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Fetch published policies, which data are remade with; without names, list them.

    Each is checked against the digest of its arrays and kept in results/policies. A
    folder that has its file, as published or as npz, spares the download.

    Example: dql data policies remade-hopper-medium-expert --from downloads
    """
    from dql.data import policy_weights

    if not names:
        for entry in policy_weights.catalogue().values():
            state = "ready" if entry.stored.is_file() else "absent"
            typer.echo(f"{entry.name:38} {state:7} {entry.kind:12} {entry.url}")
        return
    project = load(scale, changes)
    for name in names:
        task = project.tasks.get(name)
        parts = [part.policy for part in task.dataset.parts or []] if task else []
        for policy in parts or [name]:
            typer.echo(policy_weights.store_weights(policy, folder))


def roll_out(
    policy: Annotated[str, typer.Argument(help="A policy of dql data policies.")],
    task: Task,
    episodes: Annotated[int, typer.Option(min=2, help="How many.")] = 200,
    goals: Annotated[
        int | None,
        typer.Option(min=1, help="Of a maze, drawn for as many batches; default: 10."),
    ] = None,
    goal: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="X Y", help="The one goal of all; the start is 0 0."),
    ] = None,
    acting: Annotated[
        Literal["mean", "draws"] | None,
        typer.Option(help="By the mean or by draws; default: as in what is published."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of starts, goals, draws.")] = 0,
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Roll a published policy out in a task's environment, beside its published return.

    z is the distance to the published mean in standard errors of ours. In AntMaze the
    return is 1 for an arrival, z counts in standard errors of as many episodes at the
    published rate, and every batch of episodes has a goal of its own.

    Example: dql data roll-out antmaze_umaze_dapg_10 antmaze-umaze-v0 --episodes 40
    """
    from dql.data import policy_returns

    found = policy_returns.measure(
        policy,
        load(scale, changes).task(task),
        num_episodes=episodes,
        num_goals=goals,
        goal=goal,
        acting=acting,
        seed=seed,
    )
    if json:
        print_json(found.content())
    else:
        typer.echo(policy_returns.as_text(found))


def compare(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Remade tasks; with --table, else all.")
    ] = None,
    table: Annotated[
        bool,
        typer.Option(
            "--table", help="Write results/tables/remade_data from what is stored."
        ),
    ] = False,
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Hold remade data against the D4RL set they are named after, in numbers.

    Of AntMaze: arrivals, steps, and a map of where the ants have been. Of the others:
    counts and returns beside D4RL's, mean and spread of every observation, and a ruler:
    published models of the real states and actions denoise the data. They are fetched
    as dql data policies does. All tasks are checked before one is measured. Writes
    results/comparisons and figures/remade. As JSON it is a list, a task each.

    Example: dql data compare remade-hopper-medium
    """
    from dql.tables.files import markdown_text
    from dql.tables.registry import EXTENSIONS
    from dql.tables.remade_data import comparison_table, write_comparison_table

    project = load(scale, changes)
    names = tasks or (_compared(project) if table else [])
    if not names:
        kind = "compared yet" if table else "named"
        raise UserError(f"no remade task is {kind}; run: dql data compare TASK")
    chosen = [project.task(name) for name in names]
    files = [paths.comparison_file(task.name) for task in chosen]
    if table:
        outputs = [paths.table_file("remade_data", suffix) for suffix in EXTENSIONS]
        write_comparison_table(files, outputs)
        return
    from dql.files import write_json

    comparing = [_comparing(task) for task in chosen]
    contents = []
    for (measuring, draw_comparison), task, file in zip(
        comparing, chosen, files, strict=True
    ):
        found = measuring.compare(task)
        contents.append(found.content())
        write_json(file, found.content())
        name = paths.comparison_figure(task.name)
        draw_comparison(found, [paths.figure_file(name, s) for s in ("pdf", "png")])
        if not json:
            typer.echo(markdown_text(comparison_table([found.content()])))
    if json:
        print_json(contents)


def _compared(project: Project) -> list[str]:
    """Return the scale's remade tasks whose comparison is stored."""
    tasks = project.suite("remade").tasks
    return [task for task in tasks if paths.comparison_file(task).is_file()]


def _comparing(task: TaskConfig) -> tuple[ModuleType, Callable]:
    """Return what compares a task's data, which are there, and what draws that."""
    if task.dataset.variant:
        from dql.results.manifests import refuse_source

        raise refuse_source(task, "compare")
    if task.dataset.multigoal is not None:
        from dql.data import maze_comparison as measuring
        from dql.figures.remade_mazes import draw_comparison
    else:
        from dql.data import comparison as measuring
        from dql.figures.remade_data import draw_comparison
    measuring.check_comparable(task)
    return measuring, draw_comparison
