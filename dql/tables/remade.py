"""Table 1's form on remade data: every selection, the data's own score, the paper's.

Remade data are not D4RL's files. The paper's number stands beside ours with the
difference and without a verdict. Cells that are not run yet are shown as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dql import paths
from dql.results.published import find_score
from dql.results.statistics import MIN_SEEDS, has_enough_seeds
from dql.tables.cells import Cell, exclusion_notes, read_cells, without_planned
from dql.tables.files import Block, Table, write_table
from dql.tables.grid import Entry, score_grid
from dql.tables.published_cells import PublishedCell, dagger_notes
from dql.tables.remade_rows import (
    SELECTIONS,
    Expected,
    gap_entry,
    long_rows,
    paper_block,
    selection_score,
    variant_block,
)
from dql.tables.suite_titles import (
    is_too_short,
    short_notes,
    steps_in_words,
    suite_title,
)

GAP, GAP_TITLE = "gap", "Selection gap (online − offline)"
DATA = "the data"


def write_remade_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    *,
    expected: Sequence[Expected],
    min_steps: int,
    published: Path = paths.PUBLISHED,
    notes: Sequence[str] = (),
) -> Table:
    """Write the table of the expected cells, from those that are there."""
    loaded = read_cells(cells)
    found = {(cell["task"], cell["method"]): cell for cell in loaded}
    pairs = {
        (row.task, row.method): PublishedCell(
            row.task,
            row.method,
            row.label,
            find_score(row.namesake, row.method, published),
            found.get((row.task, row.method)),
        )
        for row in expected
    }
    blocks = [
        block
        for group in _groups(expected)
        for block in _group_blocks(group, found, several=len(_groups(expected)) > 1)
    ]
    if any("@" in row.method for row in expected):
        blocks.append(variant_block(expected, found))
    blocks += [paper_block(expected, pairs)] if expected else []
    table = Table(
        _title(loaded, min_steps),
        long_rows(expected, pairs),
        blocks,
        [
            *_size_notes(loaded),
            *short_notes(loaded, min_steps),
            "Scores by D4RL's reference returns: mean over seeds, from two on with its "
            "standard error. Bold: a row's highest mean, where every method of the row "
            f"has {MIN_SEEDS} seeds.",
            "Data: the mean score of the episodes that were trained on; of D4RL's file "
            "where it is known.",
            "The paper's numbers are of D4RL's own files, 5 seeds and 2,000,000 "
            "gradient steps. Compared is the selection that they state, else the last "
            "evaluation.",
            *dagger_notes(pair.number for pair in pairs.values()),
            *exclusion_notes(without_planned(loaded)),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _groups(expected: Sequence[Expected]) -> list[list[Expected]]:
    """Return the plain methods' cells, those that run on the same tasks together."""
    tasks: dict[str, list[str]] = {}
    for row in expected:
        if "@" not in row.method:
            tasks.setdefault(row.method, []).append(row.task)
    groups: dict[tuple[str, ...], list[Expected]] = {}
    for row in expected:
        if row.method in tasks:
            groups.setdefault(tuple(tasks[row.method]), []).append(row)
    return list(groups.values())


def _group_blocks(
    group: Sequence[Expected],
    found: Mapping[tuple[str, str], Cell],
    *,
    several: bool,
) -> list[Block]:
    """Return a grid for each selection, and the gap between the last two."""
    tasks = list(dict.fromkeys(row.task for row in group))
    labels = {row.method: row.label for row in group}
    data = {task: cell for (task, _), cell in found.items() if cell["dataset"]}
    ranked = {task for task in tasks if _has_seeds(found, task, labels)}

    def entry(task: str, column: str, selection: str) -> Entry:
        if column == DATA:
            score = data[task]["dataset"]["behavior_score"] if task in data else None
            text = "–" if score is None else f"{score:.1f}"
            return Entry(text, score, competes=False)
        cell = found.get((task, column))
        if selection == GAP:
            return gap_entry(cell)
        mean = cell["scores"][selection]["mean"] if cell else None
        return Entry(selection_score(cell, selection), mean, competes=task in ranked)

    where = f": {', '.join(tasks)}" if several and len(tasks) < 3 else ""
    return [
        score_grid(
            f"{title}{where}",
            tasks,
            [DATA, *labels],
            lambda task, column, selection=selection: entry(task, column, selection),
            complete_rows=True,
            headings=[DATA, *labels.values()],
        )
        for selection, title in {**SELECTIONS, GAP: GAP_TITLE}.items()
    ]


def _has_seeds(
    found: Mapping[tuple[str, str], Cell], task: str, methods: Mapping[str, str]
) -> bool:
    """Tell whether every method has seeds enough to call one of them the best."""
    cells = [found.get((task, method)) for method in methods]
    return all(cell and has_enough_seeds(len(cell["seeds"])) for cell in cells)


def _title(cells: Sequence[Cell], min_steps: int) -> str:
    """Return whose data these are, and the gradient steps and seeds of all runs."""
    title = suite_title("remade", cells, min_steps)
    ran = [cell for cell in cells if cell["seeds"]]
    if not ran:
        return f"{title}; not run yet"
    steps = "" if is_too_short(ran, min_steps) else f"; {steps_in_words(ran)}"
    return f"{title}{steps}, {_span([len(c['seeds']) for c in ran])} seeds"


def _size_notes(cells: Sequence[Cell]) -> list[str]:
    """Return how many cells have runs, of how many seeds and episodes."""
    ran = [cell for cell in cells if cell["seeds"]]
    if not ran:
        return []
    episodes = _span([cell["sizes"]["num_evaluation_episodes"] for cell in ran])
    return [
        f"{steps_in_words(ran)} (the paper's: 2,000,000), {episodes} episodes an "
        "evaluation. In parentheses: the seeds that have finished, of those planned."
    ]


def _span(counts: Sequence[int]) -> str:
    """Return the least and the largest count: `1`, or `1 to 3`."""
    return " to ".join(f"{n:,}" for n in dict.fromkeys((min(counts), max(counts))))
