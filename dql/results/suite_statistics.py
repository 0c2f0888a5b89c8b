"""Statistics over the runs of several tasks: one array of scores per task.

Performance profiles and the probability of improvement of "Deep RL at the Edge of the
Statistical Precipice" (Agarwal et al., 2021), with stratified bootstrap intervals: runs
are drawn with replacement within each task. Every task counts the same, however many
of its runs there are. Pure functions of NumPy arrays, seeded, no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dql.errors import UserError
from dql.results.statistics import BOOTSTRAP_SEED, CONFIDENCE

NUM_RESAMPLES = 2_000


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval."""

    value: float
    interval_95: tuple[float, float]


@dataclass(frozen=True)
class Profile:
    """Shares of runs above thresholds, with pointwise bands; (T,) each."""

    thresholds: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray


def performance_profile(
    scores: Sequence[np.ndarray],
    thresholds: np.ndarray,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> Profile:
    """Return the share of runs that score above each threshold, averaged over tasks.

    `scores` holds one array of run scores per task, `thresholds` is (T,). The bands are
    pointwise 95 % percentile intervals.
    """
    tasks = _tasks(scores)
    generator = np.random.default_rng(seed)
    above = [task[:, None] > thresholds for task in tasks]
    resamples = np.mean(
        [
            _resampled_weights(len(runs), num_resamples, generator) @ runs
            for runs in above
        ],
        axis=0,
    )
    shares = np.mean([runs.mean(axis=0) for runs in above], axis=0)
    low, high = np.quantile(resamples, _tails(), axis=0)
    return Profile(np.asarray(thresholds, dtype=float), shares, low, high)


def probability_of_improvement(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> Estimate:
    """Return P(a run of ours scores above a run of theirs), averaged over tasks.

    Both hold one array of run scores per task, in the same order of tasks; a tie counts
    one half. Runs of the two are resampled independently of each other.
    """
    ours, theirs = _tasks(ours), _tasks(theirs)
    if len(ours) != len(theirs):
        raise UserError(
            f"two methods are compared on the same tasks, got {len(ours)} and "
            f"{len(theirs)}"
        )
    generator = np.random.default_rng(seed)
    values, resamples = [], []
    for one, other in zip(ours, theirs, strict=True):
        wins = (one[:, None] > other) + 0.5 * (one[:, None] == other)
        ours_drawn = _resampled_weights(len(one), num_resamples, generator)
        theirs_drawn = _resampled_weights(len(other), num_resamples, generator)
        resamples.append(((ours_drawn @ wins) * theirs_drawn).sum(axis=1))
        values.append(wins.mean())
    low, high = np.quantile(np.mean(resamples, axis=0), _tails())
    return Estimate(float(np.mean(values)), (float(low), float(high)))


def _tasks(scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the scores as float arrays; no task, or a task without runs, raises."""
    tasks = [np.asarray(task, dtype=float) for task in scores]
    if not tasks or any(task.ndim != 1 or not len(task) for task in tasks):
        raise UserError("statistics over tasks need at least one run of every task")
    return tasks


def _resampled_weights(
    num_runs: int, num_resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return each run's share of every resample of a task, (resamples, runs)."""
    uniform = np.full(num_runs, 1.0 / num_runs)
    return generator.multinomial(num_runs, uniform, size=num_resamples) / num_runs


def _tails() -> tuple[float, float]:
    """Return the two quantiles that bound an interval."""
    tail = (1.0 - CONFIDENCE) / 2.0
    return tail, 1.0 - tail
