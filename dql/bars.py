"""Progress of data work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

logger = logging.getLogger(__name__)

LINE_INTERVAL = 20.0
"""Seconds between two lines in a log."""

COUNTS = {
    "bytes": (DownloadColumn, TransferSpeedColumn),
    "counts": (MofNCompleteColumn,),
}


@contextmanager
def progress_bar(
    description: str, total: int | None, *, start: int = 0, unit: str = "counts"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar on by so much; `unit` is of `COUNTS`."""
    if not sys.stderr.isatty():
        yield _line_writer(description, total, start)
        return
    columns = [TextColumn("{task.description}"), BarColumn()]
    columns += [column() for column in COUNTS[unit]]
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        bar = progress.add_task(description, total=total, completed=start)
        yield lambda amount: progress.advance(bar, amount)


def _line_writer(
    description: str, total: int | None, start: int
) -> Callable[[int], None]:
    done, last_line = start, time.monotonic()

    def advance(amount: int) -> None:
        nonlocal done, last_line
        done += amount
        if time.monotonic() - last_line >= LINE_INTERVAL:
            last_line = time.monotonic()
            share = f" of {total} ({done / total:.0%})" if total else ""
            logger.info("%s: %d%s", description, done, share)

    return advance
