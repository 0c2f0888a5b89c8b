"""How many of several equally good ways the episodes of a policy take.

A policy keeps both of two ways if, from one and the same start, it takes now the one
and now the other. Counted as 2 to the power of the entropy in bits: 1 where all
episodes take one way, 2 where half of them take each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dql.results.files import UnusableRunError, read_csv

COLUMNS = (
    "task", "method", "q_coefficient", "seed", "num_candidates", "as_evaluated",
    "start", "episode", "way", "episode_return", "score",
)  # fmt: skip
"""Of the file with the ways of a run's last policy; no way taken is an empty field."""
RUN_KEYS = ["task", "method", "q_coefficient", "seed", "num_candidates", "as_evaluated"]


def effective_ways(ways: np.ndarray) -> float:
    """Return 2 to the entropy of ways taken (n,), n >= 1."""
    shares = np.unique(ways, return_counts=True)[1] / len(ways)
    return float(2.0 ** -(shares * np.log2(shares)).sum())


def read_ways(paths: Iterable[Path]) -> pd.DataFrame:
    """Read the ways that runs stored; a file of other columns raises."""
    tables = []
    for path in paths:
        table = read_csv(path)
        missing = [name for name in COLUMNS if name not in table]
        if missing:
            raise UnusableRunError(f"{path}: no column {', '.join(missing)}")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def summarize_ways(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run and number of candidates.

    `arrived`: share of episodes that take a way; `first_share`: of these, by the first
    one; `ways`: kept over all of them; `ways_per_start`: mean over starts, those alone
    from which an episode takes a way; `score`: mean over all episodes.
    """
    rows = []
    for key, episodes in table.groupby(RUN_KEYS, dropna=False, sort=False):
        taken = episodes.dropna(subset="way")
        ways = taken["way"].to_numpy()
        starts = [
            effective_ways(w.to_numpy()) for _, w in taken.groupby("start")["way"]
        ]
        rows.append(
            dict(zip(RUN_KEYS, key, strict=True))
            | {
                "num_starts": episodes["start"].nunique(),
                "num_episodes": len(episodes),
                "arrived": len(taken) / len(episodes),
                "first_share": float((ways == 0).mean()) if len(ways) else np.nan,
                "ways": effective_ways(ways) if len(ways) else np.nan,
                "ways_per_start": float(np.mean(starts)) if starts else np.nan,
                "score": float(episodes["score"].mean()),
            }
        )
    return pd.DataFrame(rows)
