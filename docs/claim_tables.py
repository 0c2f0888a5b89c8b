"""The claims' tables: verdicts of the bandit, and counts of every ground."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from bandit_tables import AT_PAPER_SCALE, LAYOUTS, QUICK
from formats import KEPT, markdown

VERDICTS = ("holds", "does not hold", "too few seeds", "not tested here")


@cache
def claims(folder: str) -> list[dict[str, Any]]:
    """Return every claim with its verdict, as a kept folder has it."""
    path = KEPT / folder / "claims.json"
    return json.loads(path.read_text(encoding="utf-8"))["claims"]


def of_the_bandit(folders: dict[str, str]) -> dict[tuple[str, str], str]:
    """Return the verdicts by statement and layout, each from the layout's folder."""
    found = {}
    for layout, folder in folders.items():
        for claim in claims(f"{folder}/bandit"):
            if claim["layout"] == layout:
                found[claim["statement"], layout] = claim["verdict"]
    return found


def bandit() -> str:
    """Show the verdict on every claim of the bandit, by layout and settings."""
    settings = {"`quick`": QUICK, "the paper's settings": AT_PAPER_SCALE}
    found = {name: of_the_bandit(folders) for name, folders in settings.items()}
    columns = [(name, layout) for name in settings for layout in LAYOUTS]
    statements = dict.fromkeys(statement for statement, _ in found["`quick`"])
    rows = [
        [text, *(found[name].get((text, layout), "–") for name, layout in columns)]
        for text in statements
    ]
    return markdown(["claim", *(f"{layout}, {name}" for name, layout in columns)], rows)


def counts() -> str:
    """Count the verdicts by where a claim was looked at, and in which kept folder."""
    printed = tuple(f"published table {number}" for number in (1, 2, 4))
    grounds = {
        "the paper's printed tables": ("quick", printed),
        "settings on file": ("quick", ("settings on file",)),
        "D4RL runs": ("quick", ("runs",)),
        "remade data": ("evidence", ("remade data",)),
        "two equally good ways": ("twoways", ("two equally good ways",)),
    }
    found = {
        "the bandit's runs, `quick`": list(of_the_bandit(QUICK).values()),
        "the bandit's runs, the paper's settings": list(
            of_the_bandit(AT_PAPER_SCALE).values()
        ),
    } | {
        name: [row["verdict"] for row in claims(folder) if row["where"] in places]
        for name, (folder, places) in grounds.items()
    }
    rows = [
        [name, *(verdicts.count(verdict) for verdict in VERDICTS)]
        for name, verdicts in found.items()
    ]
    return markdown(["judged by", *VERDICTS], rows)
