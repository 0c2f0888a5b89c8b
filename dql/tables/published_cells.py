"""Our cells beside published numbers: difference, seeds, protocol and verdict.

Numbers that were not read in the paper itself carry a dagger; numbers that no source
prints for their cell are withheld and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from dql.results.cell_facts import compare_scores, selection_difference
from dql.results.published import PublishedScore
from dql.tables.cells import Cell, mean_and_error, seed_text
from dql.tables.files import Block
from dql.tables.grid import Entry

NOT_RUN = "not run"
NO_NUMBER = "no published number"
DAGGER_NOTE = "† not read in the paper itself but in later papers that quote it."
COLUMNS = (
    "suite", "task", "published_method", "method", "published",
    "published_standard_error", "published_selection", "published_status",
    "published_source", "published_note", "ours", "ours_standard_error",
    "ours_selection", "num_seeds", "difference", "verdict", "protocol_differences",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedCell:
    """A task and method with the published number and our cell, either may be None.

    `rule` is the selection that is shown where no number says which to compare.
    """

    task: str
    method: str | None
    label: str
    number: PublishedScore | None
    cell: Cell | None
    rule: str | None = None

    @cached_property
    def comparison(self) -> dict[str, Any] | None:
        """Return the verdict on our scores, or None without them or a number."""
        if self.number is None or self.cell is None:
            return None
        return compare_scores(self.cell, self.number)

    @property
    def selection(self) -> str | None:
        """Return which of our scores is shown."""
        if self.cell is None:
            return None
        chosen = self.comparison["score"] if self.comparison else self.rule
        return chosen or self.cell["headline"]

    @property
    def mean(self) -> float | None:
        """Return our mean, None if the cell was not run."""
        return (
            None if self.cell is None else self.cell["scores"][self.selection]["mean"]
        )

    @property
    def our_text(self) -> str:
        """Return our score as tables print it, or that there is none."""
        if self.mean is None:
            return NOT_RUN
        return mean_and_error(self.cell["scores"][self.selection])

    @property
    def verdict(self) -> str:
        """Return the verdict, or why there is none."""
        if self.mean is None:
            return NOT_RUN
        return self.comparison["verdict"] if self.comparison else NO_NUMBER

    @property
    def protocol(self) -> list[str]:
        """Return how our protocol differs from the published one."""
        if self.mean is None or self.number is None:
            return []
        sizes = list(self.cell.get("size_differences", ()))
        return sizes + selection_difference(self.selection, self.number)

    def row(self) -> list[str]:
        """Return task, method, published, ours, and what follows from them."""
        shown = [self.task, self.label, published_text(self.number)]
        if self.mean is None:
            seeds = "0" if self.cell is None else seed_text(self.cell)
            return [*shown, "–", "–", seeds, "–", NOT_RUN]
        difference, protocol = "–", "–"
        if self.comparison:
            difference = f"{self.comparison['difference']:+.1f}".replace("-", "−")
            protocol = "; ".join(self.protocol) or "the paper's"
        seeds = seed_text(self.cell)
        return [*shown, self.our_text, difference, seeds, protocol, self.verdict]

    def long_row(self) -> dict[str, Any]:
        """Return the same as one row of a CSV table."""
        number, comparison = self.number, self.comparison or {}
        row = {"task": self.task, "method": self.method}
        if self.cell is not None:
            row["suite"] = self.cell["suite"]
        if number:
            row |= {
                "suite": number.suite,
                "published_method": number.published_name,
                "published": number.score,
                "published_standard_error": number.standard_error,
                "published_selection": number.selection,
                "published_status": number.status,
                "published_source": number.source,
                "published_note": number.note or None,
            }
        if self.mean is None:
            return row | {"num_seeds": 0, "verdict": NOT_RUN}
        return row | {
            "ours": self.mean,
            "ours_standard_error": self.cell["scores"][self.selection][
                "standard_error"
            ],
            "ours_selection": self.selection,
            "num_seeds": len(self.cell["seeds"]),
            "difference": comparison.get("difference"),
            "verdict": self.verdict,
            "protocol_differences": "; ".join(self.protocol) or None,
        }


def published_text(number: PublishedScore | None) -> str:
    """Return a published number as tables print it."""
    if number is None:
        return "–"
    error = "" if number.standard_error is None else f" ± {number.standard_error:.1f}"
    return f"{number.score:.1f}{error}{'' if number.status == 'primary' else '†'}"


def published_entry(
    number: PublishedScore | None, withheld: PublishedScore | None = None
) -> Entry:
    """Return a published number for a grid; a withheld one prints a dash."""
    if number is None and withheld is not None:
        return Entry("–", withheld.score, withheld=True)
    return Entry(published_text(number), number.score if number else None)


def dagger_notes(numbers: Iterable[PublishedScore | None]) -> list[str]:
    """Return what a dagger means, if one of the numbers has one."""
    second_hand = any(number and number.status != "primary" for number in numbers)
    return [DAGGER_NOTE] if second_hand else []


def withheld_notes(scores: Sequence[PublishedScore]) -> list[str]:
    """Return one note per number that is on file but that no source prints."""
    return [
        f"withheld: {score.task}, {score.published_name}: {score.note}"
        for score in scores
    ]


def verdict_block(pairs: Sequence[PublishedCell]) -> Block:
    """Return published, ours, difference, seeds and verdict, a row for each pair."""
    columns = [
        "task", "method", "published", "ours", "difference", "seeds", "protocol",
        "verdict",
    ]  # fmt: skip
    frame = pd.DataFrame([pair.row() for pair in pairs], columns=columns)
    return Block("Ours beside published", frame)


def long_frame(pairs: Sequence[PublishedCell]) -> pd.DataFrame:
    """Return the pairs as the long form of a table."""
    return pd.DataFrame([pair.long_row() for pair in pairs], columns=COLUMNS)
