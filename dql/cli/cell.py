"""`dql cell`: one stored run of a table's cell, run again and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dql.cli.options import AsJson, Changes, Method, Scale, Task, load
from dql.cli.output import plain_console, print_json
from dql.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from dql.config.project import Project
    from dql.results.stored_runs import Address


def cell(
    task: Task,
    method: Method,
    seed: Annotated[
        int | None, typer.Option(help="The seed to run again; without: list them.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Run the first steps only, and compare these."),
    ] = None,
    stored: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the run is stored: results, kept/evidence, or any folder with "
            "runs in it; default: results, then all that is kept.",
        ),
    ] = None,
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Run a stored seed of a table's cell again, beside the results, and compare.

    Compares evaluations and logged metrics at the steps that both have, and says
    whether they are the same bit for bit, within tolerance, or different. Settings or
    data other than the stored run's are named before anything is trained. The scale is
    the stored run's. Files go to results/rerun/TASK/METHOD/seedS.

    Exit codes: 0 the same, 1 different, 2 could not compare.

    Example: dql cell remade-hopper-medium-expert td3_bc --seed 0 --steps 5000
    """
    from dql.results.stored_runs import find_runs, stores

    project = load(scale, changes)
    project.task(task), project.method(method)
    if seed is None and steps is not None:
        raise UserError("--steps needs a --seed; without both, dql cell lists them")
    places = stores(stored)
    found = find_runs(task, method, places)
    chosen = [one for one in found if seed in (None, one.run.seed)]
    if not chosen:
        raise _nothing_stored(project, task, method, seed, found, places)
    if seed is None:
        _list(chosen, stored, json)
        return
    _run_again(chosen[0], steps, scale, changes, json)


def _list(addresses: list[Address], stored: str | None, json: bool) -> None:
    """Print the stored runs."""
    import dataclasses

    from dql.diagnostics.cell_list import print_seeds, stored_seeds

    seeds = stored_seeds(addresses)
    if json:
        print_json([dataclasses.asdict(one) for one in seeds])
    else:
        print_seeds(seeds, plain_console(), stored)


def _run_again(
    address: Address,
    steps: int | None,
    scale: str | None,
    changes: list[str] | None,
    json: bool,
) -> None:
    """Run a stored run again, print how it compares, leave with the exit code."""
    from dql.config.blocks import block_size
    from dql.results.stored_runs import stored_scale

    if not scale and not any(change.startswith("scale=") for change in changes or []):
        scale = stored_scale(address)
    project = load(scale, changes)
    run = project.run_config(*address.run)
    from dql.training.gpus import leased_gpu

    with leased_gpu():
        from dql.diagnostics.cell_report import as_json, print_comparison
        from dql.diagnostics.cell_rerun import rerun_cell

        console = plain_console(stderr=json)
        size = block_size(project, run.task, run.method)
        comparison = rerun_cell(run, address, console, num_steps=steps, block_size=size)
    if json:
        print_json(as_json(comparison))
    else:
        print_comparison(comparison, console)
    if not comparison.is_same:
        raise typer.Exit(1)


def _nothing_stored(
    project: Project,
    task: str,
    method: str,
    seed: int | None,
    found: list[Address],
    places: list[Path],
) -> UserError:
    """Return the error of a run that is nowhere stored, with the way to train it."""
    if found:
        seeds = sorted({one.run.seed for one in found})
        return UserError(
            f"seed {seed} of {task}, {method} is not stored; stored are "
            f"{', '.join(map(str, seeds))}: dql cell {task} {method}"
        )
    searched = ", ".join(map(str, places))
    missing = f"no finished run of {task}, {method} is stored in {searched}"
    try:
        run = project.run_config(task, method, 0 if seed is None else seed)
    except UserError as error:  # of another scale than the configuration's
        return UserError(f"{missing}. {error}")
    return UserError(
        f"{missing}; train it: dql train {task} {method} --seed {run.seed} "
        f"--scale {run.scale}"
    )
