"""How much of the best evaluation's score is the luck of taking a maximum.

A run is evaluated K times with E episodes each. Let mu_k be the expected return of the
policy at evaluation k, m_k the mean of its E episodes, and k* = argmax_k m_k. The
`online` score of the run is m_k*; the policy that it names is worth mu_k*. Their
difference

    luck = m_k* - mu_k*

is no merit of the policy: choosing by noisy means favours means with lucky noise.

mu_k* is estimated from episodes that had no part in the choice, as by Tsamardinos et
al. (2018) for the best of several models. Episode numbers are drawn with replacement,
the same for all evaluations of a run because episode e starts from the same state in
each; the evaluation with the best mean over the drawn episodes is chosen and scored on
those that were not drawn. The estimate is the mean over resamples, the interval their
percentiles. With equal mu_k the estimate is unbiased; where one evaluation is clearly
best, every resample chooses it and the luck is zero. In between it leans to more luck,
because a choice by fewer episodes is a worse one. The interval is conservative: about a
third of the episodes is left out, so the held-out means scatter more than m_k* does.

Pure functions of NumPy arrays, seeded, no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dql.errors import UserError
from dql.results.statistics import BOOTSTRAP_SEED, CONFIDENCE

NUM_RESAMPLES = 1_000


@dataclass(frozen=True)
class Luck:
    """Mean luck of the best evaluation over runs, and each run's."""

    mean: float
    interval_95: tuple[float, float]
    per_run: tuple[float, ...]


def luck_of_maximum(
    runs: Sequence[np.ndarray],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> Luck:
    """Return the luck in the best evaluation of runs, averaged over runs.

    Each run holds returns (K, E), K >= 1 evaluations of the same E >= 2 episodes. The
    interval resamples the episodes of every run, not the runs: it says how well the
    luck of these runs is known.
    """
    if not runs:
        raise UserError("selection bias needs at least one run")
    resamples = np.array(
        [
            held_out_means(returns, num_resamples, (seed, position))
            for position, returns in enumerate(runs)
        ]
    )
    online = np.array([np.mean(returns, axis=1).max() for returns in runs])
    luck = online[:, None] - resamples
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(luck.mean(axis=0), [tail, 1.0 - tail])
    per_run = luck.mean(axis=1)
    interval = (float(low), float(high))
    return Luck(float(per_run.mean()), interval, tuple(map(float, per_run)))


def held_out_means(
    returns: np.ndarray, num_resamples: int, seed: tuple[int, ...]
) -> np.ndarray:
    """Return what evaluations chosen by some episodes earn in the others, (B,)."""
    returns = np.asarray(returns, dtype=float)
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise UserError(
            "selection bias needs returns of shape (evaluations, episodes) with at "
            f"least two episodes, got the shape {returns.shape}"
        )
    counts = _episode_counts(returns.shape[1], num_resamples, seed)
    chosen = (returns @ counts.T).argmax(axis=0)
    missed = counts == 0
    return (missed * returns[chosen]).sum(axis=1) / missed.sum(axis=1)


@lru_cache(maxsize=64)  # of a study's cells, all draw the same: half of their time
def _episode_counts(
    num_episodes: int, num_resamples: int, seed: tuple[int, ...]
) -> np.ndarray:
    """Return how often resamples draw each episode, (B, E); each leaves one out."""
    generator = np.random.default_rng(seed)
    uniform = np.full(num_episodes, 1.0 / num_episodes)
    counts = generator.multinomial(num_episodes, uniform, size=num_resamples)
    while (complete := (counts > 0).all(axis=1)).any():
        counts[complete] = generator.multinomial(
            num_episodes, uniform, size=int(complete.sum())
        )
    counts = counts.astype(float)  # as the returns they will weigh
    counts.flags.writeable = False
    return counts
