"""Which cells of a suite each kind of its figures shows.

Figures that compare methods show those that ran on every task; the others have a figure
of their own, and so have variants of one method that differ in a single setting. What
went on online, or learned from a variant of a task's data, is in no other figure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dql.config.data_schema import DataVariant, base_task, is_varied
from dql.config.online import is_online
from dql.figures.bandit_content import MIN_ETAS

Pair = tuple[str, str]
"""A task and a method, with or without variant."""

SWEPT = re.compile(r"(?P<base>\w+)@(?P<key>\w+)=(?P<value>[^,=]+)")
VARIED = re.compile(r"(?P<base>[^@]+)@(?P<key>\w+)=(?P<value>[^,=]+)")
MIN_VALUES = 3
"""Values of a setting, the default's included, that make a sweep."""
EXPERT = "-medium-expert"


def sweeps(cells: Iterable[Pair]) -> dict[tuple[str, str, str], list[str]]:
    """Return the methods of each (task, base, setting) that has values enough.

    The plain method, whose value is the default, is first.
    """
    cells = _plain(cells)
    found: dict[tuple[str, str, str], list[str]] = {}
    for task, method in cells:
        match = SWEPT.fullmatch(method)
        if match and (task, match["base"]) in cells:
            key = (task, match["base"], match["key"])
            found.setdefault(key, [match["base"]]).append(method)
    return {key: names for key, names in found.items() if len(names) >= MIN_VALUES}


def swept_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the cells of all sweeps."""
    shown = {(task, m) for (task, *_), names in sweeps(cells).items() for m in names}
    return [cell for cell in cells if cell in shown]


def compared_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the cells of methods that every task has, without a sweep's variants."""
    swept = {cell for cell in swept_cells(cells) if "@" in cell[1]}
    left = [cell for cell in _plain(cells) if cell not in swept]
    counts = Counter(method for _, method in left)
    num_tasks = len({task for task, _ in left})
    return [cell for cell in left if counts[cell[1]] == num_tasks]


def other_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the cells of methods that only some tasks have."""
    elsewhere = {*compared_cells(cells), *swept_cells(cells)}
    return [cell for cell in _plain(cells) if cell not in elsewhere]


def online_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the cells of runs that went on with fresh interaction."""
    return [cell for cell in cells if is_online(cell[1])]


def data_series(cells: Iterable[Pair]) -> dict[tuple[str, str], dict[str, float]]:
    """Return, by task and key, the variants of its data that differ in this key alone.

    Each with its level; the task itself, where it has cells, is first, with the level
    that changes nothing.
    """
    tasks = list(dict.fromkeys(task for task, _ in cells))
    found: dict[tuple[str, str], dict[str, float]] = {}
    for task in tasks:
        match = VARIED.fullmatch(task)
        if match is None:
            continue
        base, key = match["base"], match["key"]
        untouched = {base: DataVariant.model_fields[key].default}
        series = found.setdefault((base, key), untouched if base in tasks else {})
        series[task] = float(match["value"])
    return {key: series for key, series in found.items() if len(series) > 1}


def varied_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the cells of all such series, of methods that a variant has."""
    offline = [cell for cell in cells if not is_online(cell[1])]
    shown = {task for series in data_series(offline).values() for task in series}
    methods = {(base_task(task), m) for task, m in offline if is_varied(task)}
    return [
        (task, method)
        for task, method in offline
        if task in shown and (base_task(task), method) in methods
    ]


def eta_cells(cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return Diffusion-QL's cells that differ in eta alone, three of a task or more."""
    shown = [
        (task, method)
        for task, method in _plain(cells)
        if re.fullmatch(r"diffusion_ql(@eta=[^,]+)?", method)
    ]
    counts = Counter(task for task, _ in shown)
    return [cell for cell in shown if counts[cell[0]] >= MIN_ETAS]


def _plain(cells: Iterable[Pair]) -> list[Pair]:
    """Leave off what went on online, or learned from a variant of a task's data."""
    return [cell for cell in cells if not is_online(cell[1]) and not is_varied(cell[0])]


def expert_cells(cells: Sequence[Pair]) -> list[Pair]:
    """Return the compared cells on medium-expert data, where there are other data."""
    compared = compared_cells(cells)
    shown = [cell for cell in compared if cell[0].endswith(EXPERT)]
    return shown if len(shown) < len(compared) else []
