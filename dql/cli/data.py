"""`dql data`: make, fetch and inspect datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dql import paths
from dql.cli.options import Changes, Scale, Task, load
from dql.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Make, fetch and inspect datasets.")


@app.command("behavior")
def behavior(
    environment: Annotated[str, typer.Argument(help="For example: hopper.")],
    processes: Annotated[int, typer.Option(min=1, help="How many to use.")] = 1,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train the behavior policies that local datasets are rolled out with.

    Files go to results/behavior/ENVIRONMENT; the scale decides the budget.

    Example: dql data behavior hopper --processes 2 --scale smoke
    """
    project = load(scale, changes)
    budget = project.suite("local").behavior
    if budget is None:
        raise UserError(f"Scale '{project.config.scale}' trains no behavior policies.")
    from dql import behavior

    folder = paths.behavior_directory(environment)
    behavior.train(
        environment, project.config.physics, budget, folder, num_processes=processes
    )


@app.command("generate")
def generate(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Roll out behavior policies into the task's dataset, in Minari's layout.

    Needs the policies of dql data behavior; files go to results/datasets.

    Example: dql data generate local-hopper-medium-expert --scale smoke
    """
    chosen = load(scale, changes).task(task)
    from dql import local_data

    local_data.generate(chosen)


@app.command("fetch")
def fetch(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Download the task's D4RL file, check its digest and convert it to Minari.

    A download that was cut is resumed, and a file that is in results/downloads
    already is used. Files go to results/datasets.

    Example: dql data fetch hopper-medium-v2
    """
    chosen = load(scale, changes).task(task)
    from dql import d4rl

    d4rl.fetch(chosen)


@app.command("describe")
def describe(task: Task) -> None:
    """Print the manifest of a dataset that is there: source, size, returns, digest.

    Example: dql data describe local-hopper-medium-expert
    """
    load(None, None).task(task)
    from rich.console import Console

    path = paths.dataset_manifest(task)
    if not path.is_file():
        raise UserError(f"{path} is not there; make it with: snakemake {path}")
    Console().print_json(path.read_text(encoding="utf-8"))


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
    from rich.console import Console

    from dql.physics import check_physics

    found = check_physics(chosen.environment, file, chosen.physics)
    if json:
        Console().print_json(data=found)
        return
    typer.echo(
        f"{file}: one-step error over {found['num_transitions']} transitions, "
        f"{found['physics']} physics on MuJoCo {found['mujoco']}: median "
        f"{found['median']:.1e}, 90th percentile {found['percentile_90']:.1e}, "
        f"largest {found['largest']:.1e}"
    )
