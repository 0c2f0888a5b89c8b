"""What the last lines of a job's log say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dql.bars import ProgressLine

TAIL_BYTES = 8192


def last_lines(files: Sequence[str], count: int) -> list[str]:
    """Return the last lines that are not empty of the first log that has any."""
    for file in files:
        try:
            with Path(file).open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(0, size - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            continue
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-count:]
    return []


def last_progress(files: Sequence[str]) -> ProgressLine | None:
    """Return the last progress line of a job's log, None where there is none yet."""
    lines = last_lines(files, TAIL_BYTES)
    found = (ProgressLine.read(line) for line in reversed(lines))
    return next((line for line in found if line is not None), None)
