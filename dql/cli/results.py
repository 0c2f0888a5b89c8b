"""From stored runs to cells, tables and claims; what was made."""

from __future__ import annotations

from typing import Annotated

import typer

from dql.cli.options import Changes, Scale, check_one_or_all, load
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
    check_one_or_all("aggregate", task, method, every)
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

    Writes results/claims.json and claims.md; computes nothing else.

    Example: dql claims
    """
    from dql.claims.page import write_claims

    write_claims()


def page(scale: Scale = None, changes: Changes = None) -> None:
    """Write results/index.html: claims, figures, tables on one page, to open offline.

    Shows what the scale made; judges, draws and trains nothing.

    Example: dql page
    """
    project = load(scale, changes)
    from dql.publication.page import write_page

    typer.echo(write_page(project).resolve())


def bundle(scale: Scale = None, changes: Changes = None) -> None:
    """Write results/dql-VERSION-SCALE.zip: code at the commit, results, metadata.

    For Zenodo or a committee: the results page, tables, figures, claims, metrics of
    every run, configuration, locks, and ro-crate-metadata.json (Workflow Run RO-Crate).
    Tracked files must be committed.

    Example: dql bundle
    """
    project = load(scale, changes)
    from dql.publication.bundle import write_bundle

    path = write_bundle(project).resolve()
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def provenance() -> None:
    """Write how every run was made: versions, machine, data, time.

    Reads results/runs and writes results/provenance/runs.csv and runs.html.

    Example: dql provenance
    """
    from dql.tables.runs import write_run_table

    write_run_table()


def summary() -> None:
    """Print what was made, where it is, and the main numbers.

    Reads the results below the working directory and computes nothing.

    Example: dql summary
    """
    from dql.upkeep.summary import print_summary

    print_summary()
