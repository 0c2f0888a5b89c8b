"""`dql data list`, `verify`, `describe`, `check-physics`: what data hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dql import paths
from dql.cli.options import AsJson, Changes, Scale, Task, load
from dql.cli.output import print_json
from dql.errors import UserError


def list_tasks(
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """List every task: source, licence, size, and what of its data is on disk.

    absent: nothing yet. partial: a download or a conversion was cut; fetch or
    generate goes on with it. ready: fetched. generated: made here. other: made for
    another scale, physics or seed.

    Example: dql data list
    """
    project = load(scale, changes)
    import dataclasses

    from rich.console import Console

    from dql.cli.data_table import print_states
    from dql.data.checks import dataset_state

    states = [dataset_state(task) for task in project.tasks.values()]
    if json:
        print_json([dataclasses.asdict(state) for state in states])
        return
    print_states(states, Console())


def verify(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks; default: all that are on disk.")
    ] = None,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Read datasets row by row and compare them with their manifests.

    Checks shapes, NaN, the range of actions, flags, counts and the digest. A fault is
    named with its file and row. Exit code 1: a dataset has a fault.

    Example: dql data verify local-hopper-medium-expert
    """
    project = load(scale, changes)
    from dql.data.checks import dataset_state
    from dql.data.checks import verify as verify_dataset
    from dql.results.manifests import read_manifest

    named = [project.task(name) for name in tasks or []]
    for task in named:
        if task.environment != "bandit":
            read_manifest(task)  # nothing to verify is another matter than a fault
    chosen = named or [
        task
        for task in project.tasks.values()
        if task.dataset.source != "bandit" and dataset_state(task).state != "absent"
    ]
    faults = []
    for task in chosen:
        try:
            manifest = verify_dataset(task)
        except UserError as error:
            faults.append(str(error))
            continue
        typer.echo(
            f"{task.name}: {manifest['num_transitions']:,} transitions as in the "
            f"manifest, digest {manifest['digest'][:16]}"
        )
    for fault in faults:
        typer.secho(f"dql: {fault}", fg="red", err=True)
    if faults:
        raise typer.Exit(1)
    if not chosen:
        typer.echo("no dataset is on disk; dql data list shows what there could be")


def describe(
    task: Task,
    figure: Annotated[
        bool, typer.Option("--figure", help="Draw figures/data_TASK, pdf and png.")
    ] = False,
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Print what a dataset holds: returns, episode lengths, ranges of the actions.

    The dataset must be there; dql data list says which are. As JSON it is the manifest.

    Example: dql data describe local-hopper-medium-expert --figure
    """
    chosen = load(scale, changes).task(task)
    from dql.data import datasets
    from dql.data import description as dataset_description

    if json:
        is_drawn = chosen.suite == "bandit"  # or read by every run: no manifest
        print_json(
            datasets.load_dataset(chosen).manifest
            if is_drawn
            else datasets.read_manifest(chosen)
        )
        return
    described = dataset_description.describe(chosen)
    typer.echo(dataset_description.description_text(described))
    if figure:
        from dql.figures.dataset import draw_dataset

        name = paths.data_figure(task)
        outputs = [paths.figure_file(name, suffix) for suffix in ("pdf", "png")]
        draw_dataset(described, outputs)
        typer.echo(f"\ndrawn: {', '.join(map(str, outputs))}")


def check_physics(
    task: Task,
    file: Annotated[Path, typer.Argument(help="Recorded transitions, D4RL keys.")],
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Compare the task's simulator, step by step, with recorded transitions.

    FILE is an npz of observations, actions, terminals and timeouts.

    Example: dql data check-physics hopper-medium-v2 transitions.npz
    """
    chosen = load(scale, changes).task(task)
    from dql.environments.physics import check_physics

    found = check_physics(chosen.environment, file, chosen.physics)
    if json:
        print_json(found)
        return
    typer.echo(
        f"{file}: one-step error over {found['num_transitions']} transitions, "
        f"{found['physics']} physics on MuJoCo {found['mujoco']}: median "
        f"{found['median']:.1e}, 90th percentile {found['percentile_90']:.1e}, "
        f"largest {found['largest']:.1e}"
    )
