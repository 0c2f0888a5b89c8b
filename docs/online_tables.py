"""The table of runs that went on with fresh interaction."""

from __future__ import annotations

import json

import numpy as np
from formats import KEPT, label, markdown

from dql.figures.suite_cells import curve_table

CELLS = KEPT / "online" / "cells"


def continued() -> str:
    """Show the scores of the online phase: before it, half-way, at its end, the best.

    Each is the mean over the seeds, with the seeds in brackets.
    """
    cells = [json.loads(path.read_text()) for path in sorted(CELLS.glob("*/*.json"))]
    rows = [_row(cell) for cell in cells if cell.get("online") and cell["seeds"]]
    header = [
        "method", "seeds", "offline, before", "after 25,000", "after 50,000", "best",
    ]  # fmt: skip
    return markdown(header, sorted(rows, key=lambda row: row[0] == "SAC"))


def _row(cell: dict) -> list[str | int]:
    steps, scores = curve_table(cell)
    shown = [scores[:, steps == step] for step in (0, 25_000, 50_000)]
    found = [_with_seeds(column[:, 0]) if column.size else "–" for column in shown]
    name = label(cell["method"].partition("@")[0])
    return [name, len(scores), *found, _with_seeds(scores.max(axis=1))]


def _with_seeds(values: np.ndarray) -> str:
    seeds = ", ".join(f"{value:.1f}" for value in values)
    return f"{values.mean():.1f} ({seeds})"
