"""Progress of a training job: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from dql.training.runs import Run

LINE_INTERVAL = 20.0
"""Seconds between two lines in a log."""


class Progress:
    """Steps per second, time left and the last mean return of a block."""

    def __init__(self, runs: Sequence[Run], start: int, total: int) -> None:
        first = runs[0].config
        seeds = ",".join(str(run.config.seed) for run in runs)
        self.name = f"{first.task} {first.method} seed {seeds}"
        self.start, self.step, self.total = start, start, total
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
            )
            self._task = self._bar.add_task(
                self.name, total=self.total, completed=self.start, status=""
            )
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.is_over = True
            self._show()
        if self._bar:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Show the state after `step` steps, at most a few times a second."""
        self.step, now = step, time.monotonic()
        if now - self._last_line < (0.2 if self._bar else LINE_INTERVAL):
            return
        self._last_line = now
        self._show()

    def _show(self) -> None:
        """Show the steps that have been taken, on the bar or in a line."""
        if self._bar:
            self._bar.update(self._task, completed=self.step, status=self._status())
        else:
            line = f"{self.name}: {self.step}/{self.total} · {self._status()}"
            print(line, file=sys.stderr, flush=True)

    def _status(self) -> str:
        rate = (self.step - self.start) / max(time.monotonic() - self._began, 1e-9)
        left = (self.total - self.step) / max(rate, 1e-9)
        minutes, seconds = divmod(round(left), 60)
        ahead = "done" if self.is_over else f"{minutes}:{seconds:02d} left"
        status = f"{rate:.1f} steps/s · {ahead}"
        if self.score is not None:
            status += f" · last mean return {self.score:.2f}"
        return status
