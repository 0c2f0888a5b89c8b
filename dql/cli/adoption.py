"""`dql record` and `dql adopt`: results that a clone need not make again."""

from __future__ import annotations

import typer


def record() -> None:
    """Write down in snakemake.lock how Snakemake made what is here, for clones.

    Commit it with dvc.lock; make record does both after a run.
    """
    from dql.adoption import LOCK, record

    typer.echo(f"{LOCK}: {record()} jobs")


def adopt() -> None:
    """After dvc pull in a clone: let Snakemake know how these results were made.

    Reads snakemake.lock. Then snakemake -n finds nothing to do, and a changed setting
    makes again what depends on it.
    """
    from dql.adoption import adopt

    adopted = adopt()
    typer.echo(f"adopted {adopted.num_outputs} files; {len(adopted.absent)} not here")
    for output in adopted.different:
        typer.echo(f"not adopted, its content is another: {output}")
