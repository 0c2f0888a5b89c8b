"""What a cell keeps of every evaluation: each seed's curve, and the selection gap.

Figures read cells alone, so that they show exactly the runs that the cell counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dql.results.cell_scores import OFFLINE_LOSS, normalize
from dql.results.runs import StoredRun
from dql.results.selection import mean_losses
from dql.results.selection_gap import luck_of_maximum
from dql.results.statistics import summarize

GAP_NOTE = "online minus offline: what choosing by evaluations gains over the L_d rule"
LUCK_NOTE = (
    "part of the online score that is the luck of taking a maximum over noisy means; "
    "the interval resamples the episodes of these runs"
)


def describe_curves(
    runs: Sequence[StoredRun], environment: Mapping[str, Any]
) -> dict[str, dict[str, list]]:
    """Return each seed's evaluations: gradient steps, scores, and mean L_d or None.

    A standard error is over an evaluation's episodes, None for a single one. A loss is
    the mean over the log rows of the interval that ends at the evaluation.
    """
    return {
        str(run.seed): {
            "gradient_steps": [int(step) for step in run.evaluation_steps],
            "scores": [float(s) for s in _scores(run.mean_returns, environment)],
            "standard_errors": _standard_errors(run, environment),
            "bc_losses": _losses(run),
        }
        for run in runs
    }


def describe_gap(
    runs: Sequence[StoredRun],
    scores: Mapping[str, Mapping[str, Any]],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Return online minus offline over seeds, and how much of online is luck.

    `scores` are the cell's, by selection rule. What cannot be told has a reason in the
    place of its numbers.
    """
    return {
        "online_minus_offline": {"note": GAP_NOTE, **_gap(scores)},
        "luck": {"note": LUCK_NOTE, **_luck(runs, environment)},
    }


def _gap(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the statistics over seeds of the differences of two selections."""
    for name in ("online", "offline"):
        if scores[name]["mean"] is None:
            return {"mean": None, "reason": scores[name]["reason"]}
    online, offline = scores["online"]["per_seed"], scores["offline"]["per_seed"]
    gaps = {seed: online[seed] - offline[seed] for seed in online}
    return {**summarize(np.array(list(gaps.values()))), "per_seed": gaps}


def _luck(runs: Sequence[StoredRun], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mean luck of the runs' best evaluations, and each seed's."""
    returns = [_scores(run.episode_returns, environment) for run in runs]
    if not runs:
        return {"mean": None, "reason": "no finished run"}
    if min(len(run) for run in returns) < 2:
        return {"mean": None, "reason": "a single evaluation: no choice was made"}
    if min(run.shape[1] for run in returns) < 2:
        return {"mean": None, "reason": "one episode each: no mean to resample"}
    luck = luck_of_maximum(returns)
    seeds = [str(run.seed) for run in runs]
    return {
        "num_seeds": len(runs),
        "mean": luck.mean,
        "interval_95": list(luck.interval_95),
        "per_seed": dict(zip(seeds, luck.per_run, strict=True)),
    }


def _scores(returns: np.ndarray, environment: Mapping[str, Any]) -> np.ndarray:
    """Return returns in the cell's unit."""
    normalized = normalize(returns, environment)
    return returns if normalized is None else normalized


def _standard_errors(
    run: StoredRun, environment: Mapping[str, Any]
) -> list[float] | None:
    """Return the standard error over episodes of each evaluation's score."""
    scores = _scores(run.episode_returns, environment)
    if scores.shape[1] < 2:
        return None
    return [float(e) for e in scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])]


def _losses(run: StoredRun) -> list[float | None] | None:
    """Return the mean L_d before each evaluation; None where nothing was logged."""
    logged = run.metric(OFFLINE_LOSS)
    if logged is None:
        return None
    losses = mean_losses(*logged, run.evaluation_steps)
    return [None if np.isnan(loss) else float(loss) for loss in losses]
