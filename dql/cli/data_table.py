"""The tables of `dql data list` and `fetch`, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dql.data.checks import DatasetState
from dql.data.fetching import Fetched

COLUMNS = ("task", "on disk", "source", "transitions", "MB", "licence")
"""In the order in which a narrow terminal keeps them; the first two always."""
PIPE_WIDTH = 200
GAP = 2


def print_states(states: Sequence[DatasetState], console: Console) -> None:
    """Print a line per task; columns for which there is no room are left out, said."""
    rows = [_cells(state) for state in states]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    if not console.is_terminal:  # a pipe has no width: cut nothing
        console.width = max(PIPE_WIDTH, sum(widths) + GAP * len(widths))
    kept = len(COLUMNS)
    while kept > 2 and sum(widths[:kept]) + GAP * (kept - 1) > console.width:
        kept -= 1
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for name in COLUMNS[:kept]:
        align = "right" if name in ("transitions", "MB") else "left"
        table.add_column(name, justify=align, overflow="fold", no_wrap=name != "task")
    for row in rows:
        table.add_row(*row[:kept])
    console.print(table)
    if kept < len(COLUMNS):
        left_out = ", ".join(COLUMNS[kept:])
        note = f"No room for: {left_out} (dql data list --json has all)"
        console.print(note, highlight=False)


def _cells(state: DatasetState) -> tuple[str, ...]:
    return (
        state.task,
        state.state,
        state.source,
        f"{state.num_transitions:,}" if state.num_transitions else "",
        f"{state.num_bytes / 1e6:,.0f}" if state.num_bytes else "",
        state.licence,
    )


def print_fetched(
    lines: Sequence[Fetched], num_free_bytes: int, console: Console
) -> None:
    """Print file, source, size and verdict of each task, and what is still to come."""
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for name in ("file", "source", "MB", "verdict"):
        align = "right" if name == "MB" else "left"
        table.add_column(name, justify=align, overflow="fold", no_wrap=name == "MB")
    for line in lines:
        size = f"{line.num_bytes / 1e6:,.1f}" if line.num_bytes else "?"
        table.add_row(line.file, Text(_place(line)), size, line.verdict)
    console.print(table)
    missing = sum(line.missing_bytes for line in lines)
    if missing:
        verdict = (
            "which holds it" if missing <= num_free_bytes else "which does not hold it"
        )
        console.print(
            f"To come: about {missing / 1e9:,.1f} GB, with the converted data; the "
            f"disk has {num_free_bytes / 1e9:,.1f} GB free, {verdict}.",
            highlight=False,
        )


def _place(line: Fetched) -> str:
    """Return a source without the file's name, which stands beside it."""
    folder = line.source.removesuffix(f"/{line.file}")
    return urlsplit(line.source).netloc or folder or "none"
