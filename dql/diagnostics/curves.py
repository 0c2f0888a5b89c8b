"""Two runs held against each other at the gradient steps that both recorded.

A run of fewer steps is the first part of a longer one: learning rates follow the step,
noise its address, and evaluations leave training as it was. So the curves of a short
re-run are compared with the beginning of a long stored run, point by point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from dql.results.cell_scores import normalize, with_reference_returns
from dql.results.runs import EVALUATION_COLUMNS, StoredRun
from dql.results.stored_runs import RecordedRun

STEP = "gradient_step"
CONFIDENCE = 0.95
"""With which all evaluations together are within the noise of their episodes."""
FIRST_TOLERANCE = 0.005
"""Share of a metric's first logged value by which two runs may differ there.

Rounding has had no time to grow: on the bandit, with and without the C kernels, three
methods differ by less than 1e-6 there, and another seed by 1% or more in some metric.
"""
METRIC_TOLERANCE = 0.05
"""Share of a metric's root mean square by which two of its curves may differ later."""


@dataclass(frozen=True)
class Curve:
    """A quantity at the steps that both runs have; how far apart it may be at each."""

    name: str
    steps: list[int]
    stored: list[float]
    rerun: list[float]
    tolerances: list[float]
    is_identical: bool
    """Whether all that was recorded is the same, every episode and digit."""

    @property
    def differences(self) -> np.ndarray:
        """Return how far apart the two are at each step."""
        return np.abs(np.subtract(self.rerun, self.stored))

    @property
    def is_within_tolerance(self) -> bool:
        """Tell whether no point is further from its twin than is tolerated."""
        return self.is_identical or bool((self.differences <= self.tolerances).all())

    @property
    def first_difference(self) -> int | None:
        """Return the first step at which the values differ, None without one."""
        apart = np.flatnonzero(~(self.differences == 0))
        return self.steps[apart[0]] if len(apart) else None


def environment_of(run: StoredRun) -> Mapping[str, Any]:
    """Return the run's task with the reference returns it was trained with."""
    dataset = run.provenance.get("dataset") or {}
    return with_reference_returns(run.config["environment"], dataset)


def score_unit(run: StoredRun) -> str:
    """Return what scores are called: returns, where no reference returns are known."""
    known = environment_of(run).get("reference_min_score") is not None
    return "normalized score" if known else "mean return"


def episode_scores(run: StoredRun, step: int) -> np.ndarray:
    """Return the score of every episode of one evaluation, (E,)."""
    table = run.evaluations
    returns = table.loc[table[STEP] == step, "episode_return"].to_numpy(dtype=float)
    normalized = normalize(returns, environment_of(run))
    return returns if normalized is None else normalized


def score_curve(before: StoredRun, again: StoredRun, last: int) -> Curve | None:
    """Compare the evaluations that both runs have up to step `last`, None without one.

    Tolerated is what the noise of the episodes explains, in all evaluations together.
    """
    steps = common_steps(before.evaluations, again.evaluations, last)
    if not steps:
        return None
    scores = [[episode_scores(run, step) for step in steps] for run in (before, again)]
    means = [[float(one.mean()) for one in of_run] for of_run in scores]
    errors = [[_standard_error(one) for one in of_run] for of_run in scores]
    width = norm.ppf(1 - (1 - CONFIDENCE) / 2 / len(steps))
    tables = [
        _rows(run.evaluations, steps, EVALUATION_COLUMNS) for run in (before, again)
    ]
    return Curve(
        score_unit(again),
        steps,
        *means,
        (width * np.hypot(*errors)).tolist(),
        tables[0].equals(tables[1]),
    )


def metric_curves(before: RecordedRun, again: RecordedRun, last: int) -> list[Curve]:
    """Compare every metric that both runs logged up to step `last`."""
    steps = common_steps(before.metrics, again.metrics, last)
    names = [name for name in before.metrics if name in again.metrics and name != STEP]
    ours, theirs = (_rows(run.metrics, steps, names) for run in (again, before))
    return [_metric_curve(name, steps, theirs[name], ours[name]) for name in names]


def _metric_curve(
    name: str, steps: list[int], stored: pd.Series, rerun: pd.Series
) -> Curve:
    """Compare one metric where either run has logged it; some are not at every step."""
    logged = ~(stored.isna() & rerun.isna()).to_numpy()
    before, after = (column.to_numpy(dtype=float)[logged] for column in (stored, rerun))
    tolerances = np.full(len(before), METRIC_TOLERANCE * _root_mean_square(before))
    tolerances[:1] = FIRST_TOLERANCE * np.abs(np.nan_to_num(before[:1]))
    return Curve(
        name,
        np.array(steps)[logged].tolist(),
        before.tolist(),
        after.tolist(),
        tolerances.tolist(),
        bool(np.array_equal(before, after)),
    )


def _root_mean_square(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else 0.0


def common_steps(before: pd.DataFrame, again: pd.DataFrame, last: int) -> list[int]:
    """Return the gradient steps up to `last` that two tables have rows of."""
    found = np.intersect1d(before[STEP], again[STEP])
    return [int(step) for step in found if step <= last]


def _rows(table: pd.DataFrame, steps: list[int], columns: Any) -> pd.DataFrame:
    return table.loc[table[STEP].isin(steps), list(columns)].reset_index(drop=True)


def _standard_error(scores: np.ndarray) -> float:
    return float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else 0.0
