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
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

logger = logging.getLogger(__name__)

LINE_INTERVAL = 20.0
"""Seconds between two lines in a log."""

COUNTS = {
    "bytes": (DownloadColumn(), TransferSpeedColumn()),
    "counts": (MofNCompleteColumn(),),
}

_displays: list[Progress] = []
"""The one that is on the terminal, if any; threads add their bars to it."""


class _CountColumn(ProgressColumn):
    """Writes how far a bar is in its own unit."""

    def render(self, task: Task) -> Text:
        columns = COUNTS[task.fields["unit"]]
        return Text(" ").join(column.render(task) for column in columns)


@contextmanager
def progress_bar(
    description: str, total: int | None, *, start: int = 0, unit: str = "counts"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar on by so much; `unit` is of `COUNTS`.

    Bars that are begun while another is drawn, in other threads too, stand below it.
    """
    if not sys.stderr.isatty():
        yield _line_writer(description, total, start)
        return
    with _display() as progress:
        bar = progress.add_task(description, total=total, completed=start, unit=unit)
        try:
            yield lambda amount: progress.advance(bar, amount)
        finally:
            progress.remove_task(bar)


@contextmanager
def _display() -> Iterator[Progress]:
    """Yield the display that is on the terminal, or a new one."""
    if _displays:
        yield _displays[-1]
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _CountColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        _displays.append(progress)
        try:
            yield progress
        finally:
            _displays.remove(progress)


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
