"""Progress: a bar on a terminal, now and then a line in a log, and lines read again."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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

FIRST_INTERVAL, LAST_INTERVAL = 2.0, 20.0
"""Seconds between two lines in a log: soon after the start, and in the long run."""

COUNTS = {
    "bytes": (DownloadColumn(), TransferSpeedColumn()),
    "counts": (MofNCompleteColumn(),),
}

LINE = re.compile(
    r"(?P<name>.+): (?P<done>\d+)/(?P<total>\d+)"
    r"(?: · (?P<rate>[\d.]+) steps/s)?"
    r"(?: · (?:(?P<left>[\d:]+) left|(?P<is_over>done)))?"
    r"(?: · last mean return (?P<score>-?[\d.]+))?"
)


@dataclass(frozen=True)
class ProgressLine:
    """How far a job is, as a line of its log: steps, steps per second, score.

    `left` is in seconds, 0 when the job is over; None stands for what is not known.
    """

    name: str
    done: int
    total: int
    rate: float | None = None
    left: int | None = None
    score: float | None = None

    def __str__(self) -> str:
        status = f" · {self.status}" if self.status else ""
        return f"{self.name}: {self.done}/{self.total}{status}"

    @property
    def status(self) -> str:
        """The line without its name and counts."""
        parts = []
        if self.rate is not None:
            parts.append(f"{self.rate:.1f} steps/s")
        if self.left is not None:
            parts.append(f"{clock(self.left)} left" if self.left else "done")
        if self.score is not None:
            parts.append(f"last mean return {self.score:.2f}")
        return " · ".join(parts)

    @classmethod
    def read(cls, line: str) -> ProgressLine | None:
        """Return what a line of a log says, None where it is no progress line."""
        match = LINE.fullmatch(line.rstrip())
        if match is None:
            return None
        rate, left, score = match["rate"], match["left"], match["score"]
        return cls(
            match["name"],
            int(match["done"]),
            int(match["total"]),
            float(rate) if rate else None,
            0 if match["is_over"] else _seconds(left) if left else None,
            float(score) if score else None,
        )


def clock(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds: `3:07`, `2:04:00`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _seconds(text: str) -> int:
    """Return the seconds of a duration that `clock` wrote."""
    total = 0
    for part in text.split(":"):
        total = 60 * total + int(part)
    return total


def line_interval(elapsed: float) -> float:
    """Return how long to wait for the next line of a log, `elapsed` into the job."""
    return min(max(elapsed / 10, FIRST_INTERVAL), LAST_INTERVAL)


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
    done, began = start, time.monotonic()
    last_line = began

    def advance(amount: int) -> None:
        nonlocal done, last_line
        done += amount
        now = time.monotonic()
        if now - last_line >= line_interval(now - began):
            last_line = now
            line = ProgressLine(description, done, total) if total else None
            logger.info("%s", line or f"{description}: {done}")

    return advance
