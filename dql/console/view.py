"""How the state of a workflow looks: the live area, and a line for a finished job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dql.bars import ProgressLine, clock
from dql.console.board import Board, Job

BAR_WIDTH = 10


def live_area(board: Board, width: int) -> RenderableType:
    """Return what runs, how far, its last score, time spent and left, and the whole.

    Of `width` columns the last ones stay free, so that the echo of Ctrl-C begins no new
    line.
    """
    jobs = board.running
    progress = {job_id: job.progress() for job_id, job in jobs.items()}
    whole = Text(_whole(board, board.seconds_left(progress)), style="bold")
    whole.truncate(max(1, width - len("^C")), overflow="ellipsis")
    if not jobs:
        return whole
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.width = max(1, width - len("^C"))
    table.add_column("running", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("", width=BAR_WIDTH)
    for heading in ("done", "spent", "left", "return"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=5)
    for job_id, job in jobs.items():
        table.add_row(job.title, *_cells(progress[job_id], board.now() - job.began))
    return Group(whole, table)


def _cells(line: ProgressLine | None, spent: float) -> list[RenderableType]:
    """Return a running job's bar, share, seconds spent and left, last mean return."""
    if line is None:
        return ["", "", clock(spent), "", ""]
    return [
        ProgressBar(line.total, line.done, width=BAR_WIDTH),
        f"{line.done / max(1, line.total):.0%}",
        clock(spent),
        "" if line.left is None else clock(line.left),
        "" if line.score is None else f"{line.score:.2f}",
    ]


def _whole(board: Board, left: float | None) -> str:
    if not board.total:
        return f"working out what is to be made · {clock(board.elapsed)}"
    text = f"{board.done} of {board.total} jobs done · {clock(board.elapsed)}"
    return text if left is None else f"{text} · about {clock(left)} left"


def finished_line(board: Board, job: Job, seconds: float, start: Path) -> str:
    """Return a finished job's line: its place, what it did, time, score, figures."""
    place = f"{board.done:>{len(str(board.total))}}/{board.total}"
    parts = [f"{place} {job.title}", clock(seconds)]
    line = job.progress()
    if line is not None and line.score is not None:
        parts.append(f"return {line.score:.2f}")
    drawn = figures(job.outputs, start)
    return " · ".join(parts) + (f" -> {', '.join(drawn)}" if drawn else "")


def figures(outputs: Sequence[str], start: Path) -> list[str]:
    """Return the pictures among a job's files, as paths from the folder `start`.

    Only the png of each, beside which its pdf lies.
    """
    return [from_folder(name, start) for name in outputs if name.endswith(".png")]


def from_folder(file: str, start: Path) -> str:
    """Return a path of the working directory as one from `start`, where make stands."""
    return os.path.relpath(Path.cwd() / file, start)
