"""`dql record`, `dql adopt`, `dql keep`: results that need not be made again."""

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

    The workflow's own results are replaced by its next run; a kept folder stays.
    Example: dql keep quick
    """
    from dql.upkeep.keep import keep as keep_results

    typer.echo(f"kept in {keep_results(name, root=Path(source))}")
