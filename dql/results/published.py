"""The paper's numbers as data: reader of `workflow/published/*.csv`.

Every row carries its source and a status. `primary` was read in the paper itself,
`second-hand` in later papers that quote it. `derived` and `inferred-column` rows have
no source that prints the number for that cell: they are kept on file, never printed
as published and never compared with.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dql.errors import UserError
from dql.paths import PUBLISHED

PRINTABLE = ("primary", "second-hand")
STATUSES = (*PRINTABLE, "derived", "inferred-column")
NUM_PUBLISHED_SEEDS = 5
"""Independently trained models behind a mean: Table 1's caption (Appendix C says 6)."""
NUM_BANDIT_TRANSITIONS = 10_000
"""Actions in the bandit's data, drawn equally from four modes (Appendix A)."""


@dataclass(frozen=True)
class PublishedScore:
    """One printed number; `method` is our name where the algorithm is the same."""

    suite: str
    task: str
    published_name: str
    method: str | None
    selection: str
    score: float
    standard_error: float | None
    status: str
    source: str
    note: str


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; a missing file is an error that names it."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of published numbers")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def load_scores(
    table: str, directory: Path = PUBLISHED, *, withheld: bool = False
) -> list[PublishedScore]:
    """Return the printable scores of `table1`, `table2` or `table4`, or the others."""
    files = (directory / "methods.csv", directory / f"{table}.csv")
    scores = _load(*files, *(f.stat().st_mtime_ns for f in files if f.is_file()))
    return [score for score in scores if (score.status in PRINTABLE) != withheld]


@lru_cache(maxsize=16)
def _load(methods: Path, path: Path, *times: int) -> tuple[PublishedScore, ...]:
    """Read one file of scores; a file that changed has other `times`."""
    names = {row["published"]: row["method"] for row in read_rows(methods)}
    return tuple(_score(row, names, path) for row in read_rows(path))


def _score(row: dict[str, str], names: dict[str, str], path: Path) -> PublishedScore:
    """Return one row as a typed score; an unknown status raises."""
    if row["status"] not in STATUSES:
        raise UserError(
            f"{path}: {row['task']}, {row['method']}: unknown status "
            f"{row['status']!r}; known: {', '.join(STATUSES)}"
        )
    error = row["standard_error"]
    return PublishedScore(
        suite=row["suite"],
        task=row["task"],
        published_name=row["method"],
        method=names.get(row["method"]),
        selection=row["selection"],
        score=float(row["score"]),
        standard_error=float(error) if error else None,
        status=row["status"],
        source=row["source"],
        note=row["note"],
    )


def find_score(
    task: str, method: str, directory: Path = PUBLISHED
) -> PublishedScore | None:
    """Return the number the paper prints for a cell: Table 1, else Table 2, else None.

    Only the plain method has one: a variant is another experiment.
    """
    for table in ("table1", "table2"):
        for score in load_scores(table, directory):
            if (score.task, score.method) == (task, method):
                return score
    return None
