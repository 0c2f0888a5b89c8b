"""`dql gc`: list and delete what can be spared."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


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
