"""How much of a learning curve's swing is chance, from the episodes that runs stored.

The mean of an evaluation varies because the policy has changed and because its episodes
are few. The episodes' own spread gives the second part; what is left is the policy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql.results.files import UnusableRunError, read_csv
from dql.results.runs import StoredRun

COLUMNS = (
    "task", "method", "seed", "policy", "num_candidates", "as_evaluated", "episode",
    "episode_return", "episode_length",
)  # fmt: skip
"""Of the file with the episodes of a run's last policy."""
ONLINE = "online"
NUM_LAST = 5
"""Evaluations at the end of a run that are compared with each other."""


def swing(run: StoredRun, num_last: int = NUM_LAST) -> dict[str, float | None]:
    """Split the spread of a run's last evaluations into chance and policy.

    `swing` is the standard deviation between their means, `noise` what episodes of an
    unchanged policy would give (the root mean square of the standard errors), `policy`
    the rest, sqrt(max(swing^2 - noise^2, 0)). One evaluation, or one episode each,
    leaves None.
    """
    returns = run.episode_returns[-num_last:]
    num_evaluations, num_episodes = returns.shape
    if num_evaluations < 2 or num_episodes < 2:
        return {"swing": None, "noise": None, "policy": None}
    between = float(returns.mean(axis=1).var(ddof=1))
    chance = float(returns.var(axis=1, ddof=1).mean() / num_episodes)
    return {
        "swing": between**0.5,
        "noise": chance**0.5,
        "policy": max(between - chance, 0.0) ** 0.5,
    }


def read_episodes(path: Path) -> pd.DataFrame:
    """Read the episodes of a run's last policy; a file of other columns raises."""
    table = read_csv(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise UnusableRunError(f"{path}: no column {', '.join(missing)}")
    return table


def summarize_variants(episodes: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return the mean return of each way to act, with its standard error."""
    keys = ["policy", "num_candidates", "as_evaluated"]
    rows = []
    for key, group in episodes.groupby(keys, sort=False):
        returns = group["episode_return"].to_numpy(dtype=float)
        count = len(returns)
        error = returns.std(ddof=1) / np.sqrt(count) if count > 1 else None
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "num_episodes": count,
                "mean_return": float(returns.mean()),
                "standard_error": error,
            }
        )
    return rows
