"""What keeps a checkout in order: doctor, garbage, records, kept results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dql.cli.options import AsJson, load
from dql.cli.output import print_json


def doctor(
    scale: Annotated[
        str | None,
        typer.Option(help="Also what this machine lacks for the scale, and hours."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what works here and what does not, each line with its remedy.

    Looks at Python, packages, GPUs, physics, C kernels, space, DVC, git, locks and
    D4RL's files; trains and downloads nothing. Exit code 1: something is in the way.
    With --scale it also times the scale's agents: data, disk, GPUs and hours of that
    scale.

    Example: dql doctor --scale paper
    """
    load(scale, None)
    from rich.console import Console

    from dql.upkeep.doctor import (
        as_json,
        checks_of,
        examine,
        is_usable,
        print_findings,
    )

    findings = examine(checks_of(scale))
    if json:
        print_json(as_json(findings))
    else:
        print_findings(findings, Console())
    if not is_usable(findings):
        raise typer.Exit(1)


def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only.")] = False,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="For logs and checkpoints.")
    ] = 30.0,
) -> None:
    """List what can be deleted and how much that frees; delete it once confirmed.

    Only what can be made again, or what DVC holds in its cache and its remote. Never
    results/kept, nor what git tracks.

    Example: dql gc --dry-run
    """
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from dql.upkeep.garbage import delete, find_garbage, hints

    console = Console()
    items = find_garbage(older_than)
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "MB", "comes back by", "where"):
        table.add_column(heading, overflow="fold")
    for item in items:
        size = f"{item.num_bytes / 1e6:,.2f}"
        table.add_row(item.kind, size, item.comes_back, str(item.path))
    if items:
        console.print(table)
    counts = Counter(item.kind for item in items)
    total = sum(item.num_bytes for item in items) / 1e6
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    console.print(f"To delete: {kinds or 'nothing'}; {total:,.1f} MB", highlight=False)
    for name, num_bytes, command in hints():
        text = f"{name} has {num_bytes / 1e6:,.1f} MB: {command}"
        console.print(text, highlight=False, markup=False)
    if not items or dry_run:
        return
    if not yes and not sys.stdin.isatty():
        typer.echo("Nothing was deleted: nobody to ask; --yes deletes.")
        return
    if yes or typer.confirm("Delete them?"):
        typer.echo(f"Freed {delete(items) / 1e6:,.1f} MB.")


def record() -> None:
    """Write down in snakemake.lock how Snakemake made what is here, for clones.

    Commit it with dvc.lock; make record does both after a run.

    Example: dql record
    """
    from dql.upkeep.adoption import LOCK, record

    typer.echo(f"{LOCK}: {record()} jobs")


def adopt() -> None:
    """After dvc pull in a clone: let Snakemake know how these results were made.

    Reads snakemake.lock. Then snakemake -n finds nothing to do, and a changed setting
    makes again what depends on it. Files of other content are named and left alone.

    Example: dql adopt
    """
    from dql.upkeep.adoption import adopt

    adopted = adopt()
    typer.echo(f"adopted {adopted.num_outputs} files; {len(adopted.absent)} not here")
    for output in adopted.different:
        typer.echo(f"not adopted, its content is another: {output}")


def keep(
    name: Annotated[str, typer.Argument(help="Name of the folder in results/kept.")],
    source: Annotated[
        str, typer.Option("--from", metavar="FOLDER", help="Where the workflow ran.")
    ] = ".",
) -> None:
    """Copy figures, tables and how they were made into results/kept, for Git.

    The workflow's own results are replaced by its next run; a kept folder stays. Of a
    scale with stages it holds the finished runs, too, without their checkpoints.

    Example: dql keep quick
    """
    from dql.upkeep.keep import keep as keep_results

    typer.echo(f"kept in {keep_results(name, root=Path(source))}")


def restore(
    name: Annotated[str, typer.Argument(help="A folder in results/kept.")],
    target: Annotated[
        str, typer.Option("--to", metavar="FOLDER", help="Where the workflow goes on.")
    ] = ".",
) -> None:
    """Put the runs of a kept campaign back, so that Snakemake makes the others only.

    A restored run stays as it was made: no change of the code trains it again. To do
    that, remove its folder below results/runs. Runs that cannot be restored beside what
    is there are named and left out.

    Example: dql restore evidence --to .evidence
    """
    from dql.upkeep.restore import restore as restore_results

    done = restore_results(name, root=Path(target))
    typer.echo(f"restored {len(done.written)} runs; {len(done.present)} were there")
    if done.held:
        typer.echo(f"{len(done.held)} of those are of other code and stay as they are")
    for reason in done.refused:
        typer.echo(f"not restored: {reason}")
