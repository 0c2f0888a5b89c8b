"""`dql data`: make, fetch, check and inspect datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dql import paths
from dql.cli import remade
from dql.cli.options import Changes, Scale, Task, load
from dql.cli.output import print_json
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

app = typer.Typer(no_args_is_help=True, help="Make, fetch, check and inspect datasets.")
app.command("policies")(remade.policies)
app.command("compare")(remade.compare)


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
    if task.dataset.source == "remade":
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


@app.command("list")
def list_tasks(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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


@app.command("verify")
def verify(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks; default: all that are on disk.")
    ] = None,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Read datasets row by row and compare them with their manifests.

    Checks shapes, NaN, the range of actions, flags, counts and the digest. A fault is
    named with its file and row, and the exit code is 2.

    Example: dql data verify local-hopper-medium-expert
    """
    project = load(scale, changes)
    from dql.data.checks import dataset_state
    from dql.data.checks import verify as verify_dataset

    chosen = [project.task(name) for name in tasks or []] or [
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
    if faults:
        raise UserError("\n".join(faults))
    if not chosen:
        typer.echo("no dataset is on disk; dql data list shows what there could be")


@app.command("describe")
def describe(
    task: Task,
    figure: Annotated[
        bool, typer.Option("--figure", help="Draw figures/data_TASK, pdf and png.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the manifest instead.")
    ] = False,
) -> None:
    """Print what a dataset holds: returns, episode lengths, ranges of the actions.

    The dataset must be there; dql data list says which are.

    Example: dql data describe local-hopper-medium-expert --figure
    """
    chosen = load(None, None).task(task)
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


@app.command("check-physics")
def check_physics(
    task: Task,
    file: Annotated[Path, typer.Argument(help="Recorded transitions, D4RL keys.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
