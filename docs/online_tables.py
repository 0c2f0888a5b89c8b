"""The table of runs that went on with fresh interaction."""

from __future__ import annotations

import json

from formats import KEPT, label, markdown, with_seeds

from dql.figures.suite_cells import curve_table
from dql.results.stability import NUM_LAST

CELLS = KEPT / "online" / "cells"
SHOWN = (0, 10_000, 25_000, 50_000)
"""Environment steps."""


def continued() -> str:
    """Show the scores of the online phase: before it, after so many steps, at its end.

    One evaluation swings, so the mean of the last five stands beside them. Each is the
    mean over the seeds, with the seeds in brackets.
    """
    cells = [json.loads(path.read_text()) for path in sorted(CELLS.glob("*/*.json"))]
    rows = [_row(cell) for cell in cells if cell.get("online") and cell["seeds"]]
    after = [f"after {step:,}" for step in SHOWN[1:]]
    last = f"mean of the last {NUM_LAST}"
    header = ["method", "seeds", "offline, before", *after, last]
    return markdown(header, sorted(rows, key=lambda row: row[0] == "SAC"))


def _row(cell: dict) -> list[str | int]:
    steps, scores = curve_table(cell)
    shown = [scores[:, steps == step] for step in SHOWN]
    found = [with_seeds(column[:, 0]) if column.size else "–" for column in shown]
    name = label(cell["method"].partition("@")[0])
    return [name, len(scores), *found, with_seeds(scores[:, -NUM_LAST:].mean(axis=1))]
