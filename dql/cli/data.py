"""`dql data`: make, fetch, check and inspect datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dql import paths
from dql.cli import data_inspection, remade
from dql.cli.options import Changes, Scale, Task, load
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

app = typer.Typer(no_args_is_help=True, help="Make, fetch, check and inspect datasets.")
app.command("policies")(remade.policies)
app.command("roll-out")(remade.roll_out)
app.command("compare")(remade.compare)
app.command("list")(data_inspection.list_tasks)
app.command("verify")(data_inspection.verify)
app.command("describe")(data_inspection.describe)
app.command("check-physics")(data_inspection.check_physics)


@app.command("behavior")
def behavior(
    environment: Annotated[str, typer.Argument(help="For example: hopper.")],
    processes: Annotated[int, typer.Option(min=1, help="How many to use.")] = 1,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train the behavior policies that local datasets are rolled out with.

    Files go to results/behavior/ENVIRONMENT; the scale decides the budget. Policies
    that were searched with this budget before come with the source and are taken from
    there, unless --set behavior_policies=searched.

    Example: dql data behavior hopper --processes 2 --scale smoke
    """
    project = load(scale, changes)
    budget = project.suite("local").behavior
    if budget is None:
        raise UserError(f"Scale '{project.config.scale}' trains no behavior policies.")
    from dql.behavior import policies as behavior
    from dql.behavior.kept import copy_policies, kept_folder

    folder = paths.behavior_directory(environment)
    kept = kept_folder(environment, project.config, budget)
    if kept is not None:
        copy_policies(kept, folder)
        return
    behavior.train(
        environment, project.config.physics, budget, folder, num_processes=processes
    )


@app.command("generate")
def generate(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Roll out behavior policies into the task's dataset, in Minari's layout.

    Local tasks need the policies of dql data behavior; point mazes have a controller
    instead. Remade tasks need those of dql data policies. Files go to results/datasets.

    Example: dql data generate local-hopper-medium-expert --scale smoke
    """
    chosen = load(scale, changes).task(task)
    _generator(chosen)(chosen)


@app.command("again")
def again(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Make the data behind a restored manifest again, to train further runs on them.

    Data of another recipe are refused. The same recipe may give other rows on another
    kind of processor, which the manifest then says.

    Example: dql data again remade-hopper-medium --scale evidence
    """
    chosen = load(scale, changes).task(task)
    from dql.data.again import make_again

    is_fetched = chosen.dataset.source in ("d4rl", "minari")
    make_again(chosen, (_fetcher if is_fetched else _generator)(chosen))


def _generator(task: TaskConfig) -> Callable[..., Mapping[str, Any]]:
    """Return the function that makes a task's data here."""
    if task.dataset.source == "remade" and task.environment.startswith("antmaze"):
        from dql.data.antmaze import generate
    elif task.dataset.source == "remade":
        from dql.data.remade import generate
    elif task.environment.startswith("pointmaze"):
        from dql.data.pointmaze import generate
    else:
        from dql.data.local import generate
    return generate


def _fetcher(task: TaskConfig) -> Callable[..., Mapping[str, Any]]:
    """Return the function that fetches and converts a task's data."""
    if task.dataset.source == "minari":
        from dql.data.minari_remote import fetch
    else:
        from dql.data.d4rl import fetch
    return fetch


@app.command("fetch")
def fetch(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Download the task's D4RL file, check its digest and convert it to Minari.

    A download that was cut is resumed, and a file that is in results/downloads
    already is used. Tasks of source minari come from Minari's own remote instead.
    Files go to results/datasets.

    Example: dql data fetch hopper-medium-v2
    """
    chosen = load(scale, changes).task(task)
    _fetcher(chosen)(chosen)
