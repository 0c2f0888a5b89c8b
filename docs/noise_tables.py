"""The table of runs on data with noise, and on few of the episodes."""

from __future__ import annotations

import json

from formats import KEPT, label, markdown, with_seeds

from dql.figures.noise import NAMES, SHARES
from dql.figures.suite_cells import curve_table
from dql.figures.suite_selection import data_series, varied_cells
from dql.results.stability import NUM_LAST

CELLS = KEPT / "evidence" / "cells"


def varied() -> str:
    """Show the last scores at every level, and the data's: a row a level."""
    return _table(1)


def varied_last() -> str:
    """Show the means of the last evaluations in the same rows: one alone swings."""
    return _table(NUM_LAST)


def _table(num_evaluations: int) -> str:
    """Average each seed's last evaluations: their mean, with the seeds in brackets."""
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
            rows.append(
                [
                    name,
                    f"{scale * level:g}" + " %" * (key in SHARES),
                    f"{data['num_episodes']:,}",
                    f"{data['behavior_score']:.1f}",
                    *(
                        _scores(cell, num_evaluations) if cell else "–"
                        for cell in found
                    ),
                ]
            )
            name = ""  # once is enough
    header = ["varied", "level", "episodes", "the data", *map(label, methods)]
    return markdown(header, rows)


def _scores(cell: dict, num_evaluations: int) -> str:
    """Return the mean score of each seed's last evaluations, and the mean of these."""
    return with_seeds(curve_table(cell)[1][:, -num_evaluations:].mean(axis=1))
