"""How the tables of the pages are written: labels, shares, Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dql.config.project import load_project

ROOT = Path(__file__).parents[1]
KEPT, BENCHMARKS = ROOT / "results" / "kept", ROOT / "results" / "benchmarks"

Rows = Iterable[Sequence[object]]


def markdown(header: Sequence[str], rows: Rows) -> str:
    """Return a table in Markdown, the first column on the left."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


@cache
def label(method: str) -> str:
    """Return what readers call a method, its variant in parentheses."""
    return load_project(scale="paper").label(method)


def percent(share: float) -> str:
    """Return a share as whole per cent."""
    return f"{100 * share:.0f} %"


def spread(shares: pd.Series) -> str:
    """Return mean, lowest and highest of shares in per cent."""
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"{percent(shares.mean())} [{low:.0f}, {high:.0f}]"


def with_seeds(values: np.ndarray) -> str:
    """Return the mean of scores over seeds; of several, with each seed's."""
    seeds = ", ".join(f"{value:.1f}" for value in values)
    return f"{values.mean():.1f} ({seeds})" if len(values) > 1 else seeds
