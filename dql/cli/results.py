"""From stored runs to cells, tables, claims; a cell run again; what was made."""

from __future__ import annotations

from typing import Annotated

import typer

from dql.cli.options import Changes, Method, Scale, Task, load
from dql.errors import UserError


def aggregate(
    task: Annotated[str | None, typer.Argument(help="A task of tasks.yaml.")] = None,
    method: Annotated[str | None, typer.Argument(help="A method.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All cells of tables and figures.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Aggregate a cell: the scores of a method on a task over its seeds.

    Reads results/runs and writes results/cells/TASK/METHOD.json; runs that are
    missing are named in it. --all aggregates every cell in one process.

    Example: dql aggregate local-hopper-medium-expert td3_bc
    """
    if every == bool(task and method):
        raise UserError("dql aggregate: give TASK and METHOD, or --all")
    project = load(scale, changes)
    from dql.tables import aggregation

    if every:
        aggregation.aggregate_all(project)
    else:
        aggregation.aggregate(project, task, method)


def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables of config.yaml: local, d4rl.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Make tables as csv, md and tex from stored results and the published scores.

    Reads results/cells (compute: results/runs) and writes results/tables; snakemake
    tables makes the cells and their runs as well.

    Example: dql table d4rl
    """
    if every == bool(names):
        raise UserError("dql table: name a table, or --all")
    project = load(scale, changes)
    from dql.tables.registry import check_name, make_table

    chosen = project.tables if every else names
    for name in chosen:
        check_name(project, name)
    for name in chosen:
        make_table(project, name)


def claims() -> None:
    """Judge every claim of workflow/claims.yaml by the results that are there.

    Writes results/claims.json, claims.md and claims.html; computes nothing else.
    """
    from dql.claims.page import write_claims

    write_claims()


def provenance() -> None:
    """Write results/provenance/runs.{csv,html}: how every run was made."""
    from dql.tables.runs import write_run_table

    write_run_table()


def cell(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The seed to run again.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Run one seed of a table's cell again, beside the stored results, and compare.

    Prints the stored, the re-run and the published value with verdicts and cost.
    Files go to results/rerun/TASK/METHOD/seedS.

    Example: dql cell local-hopper-medium-expert td3_bc --seed 0
    """
    run = load(scale, changes).run_config(task, method, seed)
    from dql.training.gpus import leased_gpu

    with leased_gpu():
        from dql.diagnostics import cell_rerun

        cell_rerun.rerun_cell(run)


def summary() -> None:
    """Print what was made, where it is, and the main numbers.

    Reads the results below the working directory and computes nothing.
    """
    from dql.upkeep.summary import print_summary

    print_summary()
