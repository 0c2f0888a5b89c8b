"""Progress of a training job: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from dql.bars import ProgressLine, line_interval

if TYPE_CHECKING:
    from dql.training.runs import Run

BAR_INTERVAL = 0.2
"""Seconds between two states of the bar."""
_WHOLE: ContextVar[int | None] = ContextVar("whole", default=None)


@contextmanager
def stages_of(total: int) -> Iterator[None]:
    """Let trainings within, stages of one, be shown as parts of all its steps."""
    token = _WHOLE.set(total)
    try:
        yield
    finally:
        _WHOLE.reset(token)


class Progress:
    """Steps per second, time left and the last mean return of a block."""

    def __init__(self, runs: Sequence[Run], start: int, total: int) -> None:
        first = runs[0].config
        seeds = ",".join(str(run.config.seed) for run in runs)
        self.name = f"{first.task} {first.method} seed {seeds}"
        self.start, self.step = start, start
        self.last, self.total = total, _WHOLE.get() or total
        self.score: float | None = None
        self.is_over = False
        self._bar: RichProgress | None = None
        self._began = self._last_line = 0.0

    def __enter__(self) -> Progress:
        self._began = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} · {task.fields[status]}"),
                console=Console(stderr=True),
                transient=self.last != self.total,
            )
            self._task = self._bar.add_task(
                self.name, total=self.total, completed=self.start, status=""
            )
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.is_over = self.last == self.total
            self._show()
        if self._bar:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Show the state after `step` steps, at most a few times a second."""
        self.step, now = step, time.monotonic()
        interval = BAR_INTERVAL if self._bar else line_interval(now - self._began)
        if now - self._last_line < interval:
            return
        self._last_line = now
        self._show()

    def _show(self) -> None:
        """Show the steps that have been taken, on the bar or in a line."""
        line = self._line()
        if self._bar:
            self._bar.update(self._task, completed=self.step, status=line.status)
        else:
            print(line, file=sys.stderr, flush=True)

    def _line(self) -> ProgressLine:
        rate = (self.step - self.start) / max(time.monotonic() - self._began, 1e-9)
        left = max(1, round((self.total - self.step) / max(rate, 1e-9)))
        return ProgressLine(
            self.name,
            self.step,
            self.total,
            rate=rate,
            left=0 if self.is_over else left,
            score=self.score,
        )
