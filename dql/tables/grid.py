"""A grid of scores, tasks by methods: the best in bold, the average of its tasks below.

A suite's average is there only when every task of it has a number. Nothing is bold in a
row where the best might be a number that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from dql.tables.cells import best_columns
from dql.tables.files import Block


@dataclass(frozen=True)
class Entry:
    """One number as printed; `mean` decides what is bold, and averages.

    A withheld number has a mean that is not printed but keeps others from being called
    the best; one that does not compete is neither bold nor compared.
    """

    text: str
    mean: float | None = None
    withheld: bool = False
    competes: bool = True


def score_grid(
    title: str,
    tasks: Sequence[str],
    columns: Sequence[str],
    read: Callable[[str, str], Entry],
    *,
    complete_rows: bool,
    headings: Sequence[str] | None = None,
) -> Block:
    """Return the block of `read(task, column)`, with the tasks' average if several.

    `complete_rows`: only a row without gaps has a best number, as in published tables.
    `headings`: what to print above the columns, by default their own names.
    """
    table = [[read(task, column) for column in columns] for task in tasks]
    names = list(tasks)
    if len(tasks) > 1:
        table.append([_average(list(column)) for column in zip(*table, strict=True)])
        names.append("average")
    rows = [
        [name, *(entry.text for entry in row)]
        for name, row in zip(names, table, strict=True)
    ]
    bold = {
        (index, column)
        for index, row in enumerate(table)
        for column in _best(row, complete_rows)
    }
    rules = frozenset([len(tasks)]) if len(tasks) > 1 else frozenset()
    frame = pd.DataFrame(rows, columns=["task", *(headings or columns)])
    return Block(title, frame, frozenset(bold), rules)


def _average(column: Sequence[Entry]) -> Entry:
    """Return a column's average, without a number where a task has none."""
    competes = all(entry.competes for entry in column)
    if any(entry.mean is None for entry in column):
        return Entry("–", None, competes=competes)
    mean = sum(entry.mean for entry in column) / len(column)
    withheld = any(entry.withheld for entry in column)
    return Entry("–" if withheld else f"{mean:.1f}", mean, withheld, competes)


def _best(row: Sequence[Entry], complete: bool) -> list[int]:
    """Return the positions of a row's best numbers; the task's name is at 0."""
    competing = {i: entry for i, entry in enumerate(row, start=1) if entry.competes}
    means = {i: entry.mean for i, entry in competing.items() if entry.mean is not None}
    if complete and len(means) < len(competing):
        return []
    best = best_columns(means)
    return [] if any(competing[i].withheld for i in best) else best
