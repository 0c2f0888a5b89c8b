"""Rows of the table of remade data: variants, the paper's numbers, the long form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dql.tables.cells import Cell, long_row, mean_and_error, score_text, seed_text
from dql.tables.files import Block
from dql.tables.grid import Entry
from dql.tables.published_cells import NOT_RUN, PublishedCell, published_text

SELECTIONS = {
    "last": "Last evaluation",
    "offline": "Offline selection (early stop on L_d)",
    "online": "Online selection (the best evaluation, optimistic)",
}
PAPER_TITLE = (
    "Beside the paper's numbers on D4RL's own files: other data, so no verdict"
)
PAPER_COLUMNS = (
    "task", "method", "data, remade", "data, D4RL's", "ours", "selection", "seeds",
    "the paper's", "difference",
)  # fmt: skip
VARIANT_COLUMNS = ("task", "method", *SELECTIONS, "online − offline")


@dataclass(frozen=True)
class Expected:
    """A cell that the scale trains, with its D4RL namesake and that set's own score."""

    task: str
    method: str
    label: str
    namesake: str
    d4rl_score: float | None = None


def selection_score(cell: Cell | None, selection: str) -> str:
    """Return a selection's score with its seeds; a selection without one is a dash."""
    if cell is None or not cell["seeds"]:
        return score_text(cell)
    if cell["scores"][selection]["mean"] is None:
        return "–"
    return score_text({**cell, "headline": selection})


def gap_entry(cell: Cell | None) -> Entry:
    """Return online minus offline; where a selection has no score, a dash."""
    gap = cell["selection_gap"]["online_minus_offline"] if cell else {"mean": None}
    if gap["mean"] is None:
        return Entry("–", competes=False)
    return Entry(mean_and_error(gap).replace("-", "−"), gap["mean"], competes=False)


def variant_block(
    expected: Sequence[Expected], found: Mapping[tuple[str, str], Cell]
) -> Block:
    """Return the variants of methods, a row each, the plain method's row before."""
    varied = {
        (row.task, row.method.partition("@")[0])
        for row in expected
        if "@" in row.method
    }
    chosen = [r for r in expected if (r.task, r.method.partition("@")[0]) in varied]
    rows = []
    for row in sorted(chosen, key=lambda row: (row.task, *_by_setting(row.method))):
        cell = found.get((row.task, row.method))
        scores = [selection_score(cell, selection) for selection in SELECTIONS]
        rows.append([row.task, row.label, *scores, gap_entry(cell).text])
    return Block("Variants", pd.DataFrame(rows, columns=VARIANT_COLUMNS))


def _by_setting(method: str) -> tuple[str, str, float]:
    """Return what sorts a method's variants: by setting, then by its value."""
    base, _, variant = method.partition("@")
    key, _, value = variant.partition("=")
    try:
        return base, key, float(value or "-inf")
    except ValueError:
        return base, variant, 0.0


def paper_block(
    expected: Sequence[Expected], pairs: Mapping[tuple[str, str], PublishedCell]
) -> Block:
    """Return ours beside the paper's, a row for each cell that it has a number of."""
    rows = []
    for row in expected:
        pair = pairs[row.task, row.method]
        if pair.number is None:
            continue
        ran = pair.mean is not None
        score = pair.cell["dataset"].get("behavior_score") if pair.cell else None
        shown = [row.task, row.label, _number(score), _number(row.d4rl_score)]
        shown += [pair.our_text, pair.selection if ran else "–"]
        shown += [seed_text(pair.cell) if pair.cell else "0"]
        difference = _number(_difference(pair), "+.1f")
        rows.append([*shown, published_text(pair.number), difference])
    return Block(PAPER_TITLE, pd.DataFrame(rows, columns=PAPER_COLUMNS))


def _difference(pair: PublishedCell) -> float | None:
    """Return ours minus the paper's number, None without either."""
    if pair.mean is None or pair.number is None:
        return None
    return pair.mean - pair.number.score


def _number(value: float | None, form: str = ".1f") -> str:
    """Return a number, or a dash."""
    return "–" if value is None else f"{value:{form}}".replace("-", "−")


def long_rows(
    expected: Sequence[Expected], pairs: Mapping[tuple[str, str], PublishedCell]
) -> pd.DataFrame:
    """Return a row for every expected cell, those without runs named so."""
    rows = []
    for row in expected:
        pair = pairs[row.task, row.method]
        ran = pair.cell is not None
        known = long_row(pair.cell) if ran else {"status": NOT_RUN, "num_seeds": 0}
        rows.append(
            {"suite": "remade", "task": row.task, "method": row.method}
            | known
            | {
                "namesake": row.namesake,
                "d4rl_behavior_score": row.d4rl_score,
                "published": pair.number.score if pair.number else None,
                "published_selection": pair.number.selection if pair.number else None,
                "compared_selection": pair.selection,
                "difference": _difference(pair),
            }
        )
    return pd.DataFrame(rows)
