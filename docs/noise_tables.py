"""The table of runs on data with noise, and on few of the episodes."""

from __future__ import annotations

import json

from formats import KEPT, label, markdown, with_seeds

from dql.figures.noise import NAMES, SHARES
from dql.figures.suite_cells import curve_table
from dql.figures.suite_selection import data_series, varied_cells

CELLS = KEPT / "evidence" / "cells"
LAST = 5
"""Evaluations, the second half of the runs."""


def varied() -> str:
    """Show the last scores at every level, and the data's: a row a level."""
    return _table(1)


def varied_last() -> str:
    """Show the means of the last evaluations in the same rows: one alone swings."""
    return _table(LAST)


def _table(num_evaluations: int) -> str:
    """Average each seed's last evaluations: the mean over seeds, the seeds in brackets.

    The data stand beside them where a table is of one evaluation.
    """
    read = [json.loads(path.read_text()) for path in sorted(CELLS.glob("*/*.json"))]
    cells = {(cell["task"], cell["method"]): cell for cell in read if cell["seeds"]}
    shown = varied_cells(list(cells))
    methods = sorted({method for _, method in shown}, key=label)
    rows = []
    for (_, key), levels in data_series(shown).items():
        scale = 100 if key in SHARES else 1
        name = NAMES[key].removesuffix(", %")
        for task, level in sorted(levels.items(), key=lambda pair: pair[1]):
            found = [cells.get((task, method)) for method in methods]
            data = next(filter(None, found))["dataset"]
            facts = [f"{data['num_episodes']:,}", f"{data['behavior_score']:.1f}"]
            rows.append(
                [
                    name,
                    f"{scale * level:g}" + " %" * (key in SHARES),
                    *(facts if num_evaluations == 1 else []),
                    *(
                        _scores(cell, num_evaluations) if cell else "–"
                        for cell in found
                    ),
                ]
            )
            name = ""  # once is enough
    facts = ["episodes", "the data"] if num_evaluations == 1 else []
    return markdown(["varied", "level", *facts, *map(label, methods)], rows)


def _scores(cell: dict, num_evaluations: int) -> str:
    """Return the mean score of each seed's last evaluations, and the mean of these."""
    return with_seeds(curve_table(cell)[1][:, -num_evaluations:].mean(axis=1))
