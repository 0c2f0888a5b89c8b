"""A run's score under each selection rule, and the statistics of a cell over seeds.

`last` is the evaluation after the last gradient step; `offline` the paper's early stop
on L_d; `online` the best evaluation, optimistic because it is a maximum over noisy
means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dql.config.schema import SelectionRule
from dql.results.runs import StoredRun
from dql.results.selection import kept_rank, mean_losses, select_offline
from dql.results.statistics import summarize

OFFLINE_LOSS = "actor/bc_loss"
HEADLINE_RULE = "last"
RULE_NOTES = {
    "last": "the evaluation after the last gradient step",
    "offline": "early stop on L_d, then the checkpoint of the chosen rank",
    "online": "the best evaluation: optimistic, a maximum over noisy means",
}


def normalize(returns: np.ndarray, environment: Mapping[str, Any]) -> np.ndarray | None:
    """Return 100 (return - min) / (max - min), or None without reference returns."""
    low = environment.get("reference_min_score")
    high = environment.get("reference_max_score")
    if low is None or high is None:
        return None
    return 100.0 * (returns - low) / (high - low)


def with_reference_returns(
    environment: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Take the reference returns from the dataset where the task has none of its own.

    Data made here bring their own: random actions and the expert.
    """
    known = dataset.get("reference_scores")
    if environment.get("reference_min_score") is not None or not known:
        return environment
    own = {"reference_min_score": known["min"], "reference_max_score": known["max"]}
    return {**environment, **own}


def score_runs(
    runs: Sequence[StoredRun],
    config: Mapping[str, Any],
    rule: SelectionRule,
) -> dict[str, Any]:
    """Return the three selections' scores and returns with their statistics."""
    rank = kept_rank(config["environment"].get("offline_selection_rank"), rule)
    offline = [_offline_index(run, rank, rule) for run in runs]
    indices: dict[str, list[int | None]] = {
        "last": [len(run.mean_returns) - 1 for run in runs],
        "offline": offline,
        "online": [int(run.mean_returns.argmax()) for run in runs],
    }
    environment = config["environment"]
    unit = "return" if normalize(np.zeros(1), environment) is None else "normalized"
    scores = {
        name: _selection(name, runs, chosen, environment)
        for name, chosen in indices.items()
    }
    if scores["offline"]["mean"] is not None:
        scores["offline"] |= {"rule": rule, "rank": rank}
    return {"score_unit": unit, "scores": scores}


def _offline_index(run: StoredRun, rank: int, rule: SelectionRule) -> int | None:
    """Return the evaluation that the offline rule keeps, or None if it cannot say."""
    logged = run.metric(OFFLINE_LOSS)
    if logged is None:
        return None
    losses = mean_losses(*logged, run.evaluation_steps)
    if np.isnan(losses).any():
        return None
    return select_offline(losses, rank=rank, rule=rule)


def _selection(
    name: str,
    runs: Sequence[StoredRun],
    indices: Sequence[int | None],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Return one selection rule's per-seed values and their statistics."""
    if not runs or any(index is None for index in indices):
        reason = "no finished run" if not runs else _no_offline(runs)
        return {"note": RULE_NOTES[name], "mean": None, "reason": reason}
    returns = np.array(
        [run.mean_returns[index] for run, index in zip(runs, indices, strict=True)]
    )
    normalized = normalize(returns, environment)
    scores = returns if normalized is None else normalized
    seeds = [str(run.seed) for run in runs]
    steps = [int(run.evaluation_steps[i]) for run, i in zip(runs, indices, strict=True)]
    return {
        "note": RULE_NOTES[name],
        **summarize(scores),
        "per_seed": dict(zip(seeds, map(float, scores), strict=True)),
        "returns_per_seed": dict(zip(seeds, map(float, returns), strict=True)),
        "gradient_steps": dict(zip(seeds, steps, strict=True)),
    }


def _no_offline(runs: Sequence[StoredRun]) -> str:
    """Return why the offline rule has no score."""
    if any(run.metric(OFFLINE_LOSS) is None for run in runs):
        return f"metrics.csv has no column {OFFLINE_LOSS}: this agent has no such loss"
    return "too few evaluations for the rank that the rule keeps"
