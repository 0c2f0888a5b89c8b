"""Statistics of scores over seeds: pure functions of NumPy arrays, seeded, no files.

Serves every table of the paper (mean and standard error over independently trained
models) and adds what its tables lack: robust means, bootstrap intervals, and a verdict
on whether a published value was reproduced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import stdtrit

Verdict = Literal["reproduced", "better", "worse", "inconclusive", "not run"]

EQUIVALENCE_MARGIN = 5.0
"""Normalised points within which two mean scores count as the same result."""

CONFIDENCE = 0.95
BOOTSTRAP_SEED = 0
NUM_RESAMPLES = 10_000
MIN_SEEDS = 3
"""Below, neither an interval over seeds is given nor a method called the better one."""


def standard_deviation(scores: np.ndarray) -> float:
    """Return the sample standard deviation (n - 1); NaN below two scores."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")


def standard_error(scores: np.ndarray) -> float:
    """Return the standard error of the mean; NaN below two scores."""
    return standard_deviation(scores) / float(np.sqrt(len(scores)))


def rate_error(rate: float, num_trials: int) -> float:
    """Return a rate's standard error: half of Wilson's interval at one deviation.

    It is never zero: n successes of n leave 1 / (2 n + 2). E. B. Wilson (1927),
    Probable Inference, the Law of Succession, and Statistical Inference.
    """
    spread = rate * (1 - rate) / num_trials + 1 / (2 * num_trials) ** 2
    return float(np.sqrt(spread)) / (1 + 1 / num_trials)


def pooled_error(rate: float, *num_trials: int) -> float:
    """Return the standard error of a rate, or a difference of two, if `rate` is true.

    Distances in these errors are those of the score test. Zero at a rate of 0 or 1.
    """
    return float(np.sqrt(rate * (1 - rate) * sum(1 / count for count in num_trials)))


def interquartile_mean(scores: np.ndarray) -> float:
    """Return the mean of all scores but the lowest and the highest quarter.

    A quarter is rounded down to whole scores, over the flattened array, as in
    "Deep RL at the Edge of the Statistical Precipice" (Agarwal et al., 2021).
    """
    ordered = np.sort(np.ravel(scores))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic of (runs,) or (runs, tasks) scores.

    Runs are drawn with replacement within each task (stratified), so that every
    resample keeps the same number of runs per task.
    """
    scores = np.asarray(scores, dtype=float)
    scores = scores[:, None] if scores.ndim == 1 else scores
    num_runs, num_tasks = scores.shape
    if statistic is np.mean:
        draws = _draw_counts(num_runs, num_tasks, num_resamples, seed)
        values = draws @ scores.ravel() / scores.size
    else:
        rows = _draw_rows(num_runs, num_tasks, num_resamples, seed)
        resamples = scores[rows, np.arange(num_tasks)]
        values = np.array([statistic(resample) for resample in resamples])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _draw_rows(
    num_runs: int, num_tasks: int, num_resamples: int, seed: int
) -> np.ndarray:
    """Return which run each resample takes, (num_resamples, num_runs, num_tasks)."""
    generator = np.random.default_rng(seed)
    return generator.integers(num_runs, size=(num_resamples, num_runs, num_tasks))


@lru_cache(maxsize=8)
def _draw_counts(
    num_runs: int, num_tasks: int, num_resamples: int, seed: int
) -> np.ndarray:
    """Return how often each resample takes a run, (num_resamples, runs * tasks).

    The cells of a table have as many runs each, and so share these draws.
    """
    rows = _draw_rows(num_runs, num_tasks, num_resamples, seed)
    counts = np.stack([(rows == run).sum(axis=1) for run in range(num_runs)], axis=1)
    return counts.reshape(num_resamples, -1).astype(float)


def has_enough_seeds(num_seeds: int) -> bool:
    """Tell whether so many seeds suffice for an interval, and to rank methods."""
    return num_seeds >= MIN_SEEDS


def summarize(scores: np.ndarray, seed: int = BOOTSTRAP_SEED) -> dict[str, object]:
    """Return mean, spread, robust mean and bootstrap interval of scores over seeds.

    The interval is None below three seeds: resampling two numbers says nothing.
    """
    scores = np.asarray(scores, dtype=float)
    enough = has_enough_seeds(len(scores))
    interval = list(bootstrap_interval(scores, seed=seed)) if enough else None
    several = len(scores) > 1
    return {
        "num_seeds": len(scores),
        "mean": float(np.mean(scores)) if len(scores) else None,
        "standard_deviation": standard_deviation(scores) if several else None,
        "standard_error": standard_error(scores) if several else None,
        "interquartile_mean": interquartile_mean(scores) if len(scores) else None,
        "interval_95": interval,
    }


@dataclass(frozen=True)
class Comparison:
    """Our mean minus a published one, with the interval and verdict it supports."""

    verdict: Verdict
    reason: str
    difference: float | None = None
    interval_95: tuple[float, float] | None = None
    margin: float = EQUIVALENCE_MARGIN


@dataclass(frozen=True)
class PublishedMean:
    """A mean as printed in a paper; `standard_error` is None where none is printed."""

    mean: float
    standard_error: float | None
    num_seeds: int


def compare(
    scores: np.ndarray, published: PublishedMean, margin: float = EQUIVALENCE_MARGIN
) -> Comparison:
    """Judge scores over seeds against a published mean by Welch's t and two bounds.

    Reproduced: the 90 % interval of the difference lies within the margin (two
    one-sided tests at 5 %). Better or worse: otherwise, if the 95 % interval excludes
    zero. Where no standard error is printed, the published spread over seeds is taken
    to be ours.
    """
    scores = np.asarray(scores, dtype=float)
    if len(scores) == 0:
        return Comparison("not run", "no finished run", margin=margin)
    difference = float(scores.mean() - published.mean)
    if len(scores) == 1:
        return Comparison("inconclusive", "one seed has no standard error", difference)
    error, degrees = _welch(scores, published)
    interval_95 = student_interval(difference, error, degrees, 0.95)
    interval_90 = student_interval(difference, error, degrees, 0.90)
    if -margin <= interval_90[0] and interval_90[1] <= margin:
        verdict, reason = "reproduced", f"the difference is within {margin:g} points"
    elif interval_95[0] > 0:
        verdict, reason = "better", "the 95 % interval lies above zero"
    elif interval_95[1] < 0:
        verdict, reason = "worse", "the 95 % interval lies below zero"
    else:
        verdict, reason = "inconclusive", "the interval is wider than the margin"
    if published.standard_error is None:
        reason += "; no published error, spread assumed equal to ours"
    return Comparison(verdict, reason, difference, interval_95, margin)


def _welch(scores: np.ndarray, published: PublishedMean) -> tuple[float, float]:
    """Return the standard error of the difference and Welch's degrees of freedom."""
    ours = standard_error(scores) ** 2
    if published.standard_error is None:
        theirs = standard_deviation(scores) ** 2 / published.num_seeds
    else:
        theirs = published.standard_error**2
    total = ours + theirs
    if total == 0.0:
        return 0.0, float("inf")
    scale = ours**2 / (len(scores) - 1) + theirs**2 / (published.num_seeds - 1)
    return float(np.sqrt(total)), float(total**2 / scale)


def student_interval(
    center: float, error: float, degrees: float, confidence: float
) -> tuple[float, float]:
    """Return the symmetric Student t interval around a mean or a difference."""
    if error == 0.0:
        return center, center
    half_width = float(stdtrit(degrees, 0.5 + confidence / 2.0)) * error
    return center - half_width, center + half_width
