"""`dql record`, `adopt`, `keep`, `restore`: results that need not be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def record() -> None:
    """Write down in snakemake.lock how Snakemake made what is here, for clones.

    Commit it with dvc.lock; make record does both after a run.
    """
    from dql.upkeep.adoption import LOCK, record

    typer.echo(f"{LOCK}: {record()} jobs")


def adopt() -> None:
    """After dvc pull in a clone: let Snakemake know how these results were made.

    Reads snakemake.lock. Then snakemake -n finds nothing to do, and a changed setting
    makes again what depends on it.
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
    that, remove its folder below results/runs.

    Example: dql restore evidence --to .evidence
    """
    from dql.upkeep.restore import restore as restore_results

    done = restore_results(name, root=Path(target))
    typer.echo(f"restored {len(done.written)} runs; {len(done.present)} were there")
    if done.held:
        typer.echo(f"{len(done.held)} of those are of other code and stay as they are")
    for reason in done.refused:
        typer.echo(f"not restored: {reason}")
