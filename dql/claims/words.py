"""The words of verdicts: counts that read as a sentence, names that readers know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dql.claims.file import FAILS, HOLDS, TOO_FEW, UNTESTED, VERDICTS

if TYPE_CHECKING:
    from dql.config.project import Project

PLURALS = {
    HOLDS: "hold",
    FAILS: "do not hold",
    TOO_FEW: "have too few seeds",
    UNTESTED: "are not tested here",
}
SINGULARS = {
    HOLDS: "holds",
    FAILS: "does not hold",
    TOO_FEW: "has too few seeds",
    UNTESTED: "is not tested here",
}

NAMES = {
    "share_best_mode": "share on the best mode",
    "distance": "distance to the data",
    "q_coefficient": "eta",
    "num_denoising_steps": "N",
    "num_gradient_steps": "gradient steps",
}
"""Numbers and settings that read better than their names without underscores."""

APART = (r"(?<![\w/.])", r"(?![\w/]|\.\w)")
"""What stands around a word that is not part of a path."""
SNAKE = re.compile(r"[a-z]+(?:_[a-z0-9]+)+".join(APART))


def count_verdicts(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many claims have each verdict; too few seeds only where some have."""
    verdicts = [record["verdict"] for record in records]
    return {
        name: verdicts.count(name)
        for name in VERDICTS
        if name != TOO_FEW or name in verdicts
    }


def in_words(counts: Mapping[str, int]) -> str:
    """Return counts as `16 hold, 1 does not hold, 51 are not tested here`."""
    return ", ".join(
        f"{counts[name]} {(SINGULARS if counts[name] == 1 else PLURALS)[name]}"
        for name in counts
    )


def readable(text: str, project: Project) -> str:
    """Return a rule or a reason with labels of methods and without underscores."""
    names = sorted([*project.methods, *NAMES], key=len, reverse=True)
    known = re.compile(rf"({'|'.join(names)})(@[\w=.,+-]*\w)?".join(APART))

    def label(match: re.Match[str]) -> str:
        return NAMES.get(match[1]) or project.label(match[0])

    return SNAKE.sub(lambda match: match[0].replace("_", " "), known.sub(label, text))


def value_range(value: Mapping[str, float]) -> str:
    """Return `mean [lowest, highest]` over seeds; one number where all are the same."""
    mean, low, high = (f"{value[key]:.3g}" for key in ("mean", "min", "max"))
    return mean if low == high else f"{mean} [{low}, {high}]"
