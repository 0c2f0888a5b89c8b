"""The table of the local suite, whose data this workflow makes.

Local data are not D4RL's: their scores are never set beside published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dql.tables.cells import (
    Cell,
    exclusion_notes,
    long_row,
    mean_and_error,
    read_cells,
    score_text,
)
from dql.tables.files import Block, Table, write_table
from dql.tables.grid import Entry, score_grid
from dql.tables.suite_titles import is_too_short, short_notes, suite_title

RULES = ("last", "offline", "online")
BEHAVIOR = "behaviour data"


def write_local_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    *,
    expected: Sequence[tuple[str, str, str]] = (),
    min_steps: int = 0,
    notes: Sequence[str] = (),
) -> Table:
    """Write the table of the local suite from its cells.

    `expected` names task, method and label of the cells that should be there; those
    that are not are shown as not run. Below `min_steps` no score is called the best.
    """
    loaded = read_cells(cells)
    short = is_too_short(loaded, min_steps)
    blocks = [_score_block(loaded, expected, short)] if loaded or expected else []
    if loaded:
        blocks += [_selection_block(loaded), _size_block(loaded)]
    table = Table(
        suite_title("local", loaded, min_steps),
        _long_frame(loaded, expected),
        blocks,
        [
            *short_notes(loaded, min_steps),
            "Scores: 100 (return - min) / (max - min), where min is the mean return of "
            "random actions and max that of the expert; mean ± standard error over "
            "seeds of the last evaluation's mean."
            + ("" if short else " Bold: a row's best mean."),
            "Behaviour data: the mean score of the episodes that were trained on.",
            "These data are made here and are not D4RL's: no number in this table can "
            "be compared with a published one.",
            *exclusion_notes(loaded),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _long_frame(
    cells: Sequence[Cell], expected: Sequence[tuple[str, str, str]]
) -> pd.DataFrame:
    """Return a row for each cell, and for each that should be there but is not."""
    found = {(cell["task"], cell["method"]) for cell in cells}
    identity = ("suite", "task", "method", "status", "num_seeds")
    absent = [
        dict(zip(identity, ("local", task, method, "not run", 0), strict=True))
        for task, method, _ in expected
        if (task, method) not in found
    ]
    rows = [*map(long_row, cells), *absent]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(identity))


def _score_block(
    cells: Sequence[Cell], expected: Sequence[tuple[str, str, str]], short: bool
) -> Block:
    """Return the main block: tasks by methods, the behaviour's own score first."""
    by_key = {(cell["task"], cell["method"]): cell for cell in cells}
    labels = {method: label for _, method, label in expected}
    labels |= {cell["method"]: cell["label"] for cell in cells}
    tasks = list(dict.fromkeys([row[0] for row in expected] + [k[0] for k in by_key]))
    behavior = {cell["task"]: cell["dataset"].get("behavior_score") for cell in cells}

    def read(task: str, column: str) -> Entry:
        if column == BEHAVIOR:
            score = behavior.get(task)
            text = "–" if score is None else f"{score:.1f}"
            return Entry(text, score, competes=False)
        cell = by_key.get((task, column))
        mean = cell["scores"][cell["headline"]]["mean"] if cell else None
        return Entry(score_text(cell), mean, competes=not short)

    return score_grid(
        "",
        tasks,
        [BEHAVIOR, *labels],
        read,
        complete_rows=False,
        headings=[BEHAVIOR, *labels.values()],
    )


def _selection_block(cells: Sequence[Cell]) -> Block:
    """Return the score of every method under each selection rule."""
    rows = [
        [cell["task"], cell["label"]]
        + [mean_and_error(cell["scores"][rule]) for rule in RULES]
        for cell in cells
    ]
    columns = ["task", "method", "last", "offline (L_d)", "online (best, optimistic)"]
    return Block("Which evaluation counts", pd.DataFrame(rows, columns=columns))


def _size_block(cells: Sequence[Cell]) -> Block:
    """Return the sizes and the cost behind every score."""
    rows = [
        [
            cell["task"],
            cell["label"],
            f"{cell['sizes']['num_gradient_steps']:,}",
            _count(cell["sizes"]["num_transitions"]),
            cell["sizes"]["num_evaluation_episodes"],
            cell["physics"],
            _seconds(cell["cost"]["wall_seconds_per_run"]),
        ]
        for cell in cells
    ]
    columns = [
        "task", "method", "gradient steps", "transitions", "evaluation episodes",
        "physics", "seconds per run",
    ]  # fmt: skip
    return Block("Sizes and cost", pd.DataFrame(rows, columns=columns))


def _count(number: int | None) -> str:
    """Return a count with thousands separated, or a dash."""
    return "–" if number is None else f"{number:,}"


def _seconds(duration: float | None) -> str:
    """Return whole seconds, or a dash."""
    return "–" if duration is None else f"{duration:.0f}"
