"""What stands beside a cell's scores: its data, sizes, cost, and the paper's value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dql.results.cell_scores import HEADLINE_RULE, normalize
from dql.results.published import (
    NUM_BANDIT_TRANSITIONS,
    NUM_PUBLISHED_SEEDS,
    PublishedScore,
    find_score,
)
from dql.results.runs import StoredRun
from dql.results.statistics import PublishedMean, compare

COST_KEYS = {
    "wall_seconds": "wall_seconds_per_run",
    "gpu_seconds": "gpu_seconds_per_run",
    "steps_per_second": "steps_per_second",
}


def describe_dataset(
    manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the data were, with the behaviour's own mean score.

    AntMaze's data have none: their episodes go on at the goal, where every step earns a
    reward, and an evaluation's episode ends with its first.
    """
    if not manifest:
        return {}
    keys = ("task", "source", "digest", "num_transitions", "num_episodes")
    returns = manifest.get("episode_return") or {}
    score, goes_on = None, config["environment"]["environment"].startswith("antmaze")
    if returns.get("mean") is not None and not goes_on:
        mean = np.array([float(returns["mean"])])
        normalized = normalize(mean, config["environment"])
        score = float((mean if normalized is None else normalized)[0])
    return {key: manifest.get(key) for key in keys} | {"behavior_score": score}


def describe_sizes(
    config: Mapping[str, Any], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the sizes that a reader must know to judge the scores."""
    training = config["training"]
    return {
        "num_gradient_steps": training["num_gradient_steps"],
        "batch_size": training["batch_size"],
        "num_evaluation_episodes": training["num_evaluation_episodes"],
        "horizon": config["environment"].get("horizon"),
        "num_transitions": manifest.get("num_transitions"),
    }


def describe_cost(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Return the recorded cost of a run: mean seconds, the peak of memory.

    Runs that trained together each record the time of their whole block, so the sum
    over seeds would count it several times.
    """
    cost: dict[str, Any] = {}
    for key in COST_KEYS:
        values = [run.provenance[key] for run in runs if run.provenance.get(key)]
        cost[COST_KEYS[key]] = float(np.mean(values)) if values else None
    peaks = [run.provenance.get("peak_memory_bytes") or 0 for run in runs]
    devices = sorted({str(run.provenance.get("device")) for run in runs})
    return cost | {"peak_memory_bytes": max(peaks, default=0), "devices": devices}


def describe_makers(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Return each code, processor and data that runs were made with, and their seeds.

    Runs that were restored may be of other code than the rest, or of data that another
    processor made by the same recipe.
    """
    makers: dict[tuple, list[int]] = {}
    for run in runs:
        machine = run.provenance.get("machine") or {}
        code = run.provenance.get("code_fingerprint")
        key = code, machine.get("processor"), run.dataset_digest
        makers.setdefault(key, []).append(run.seed)
    names = ("code_fingerprint", "processor", "dataset_digest")
    return [
        dict(zip(names, key, strict=True)) | {"seeds": seeds}
        for key, seeds in makers.items()
    ]


def size_differences(config: Mapping[str, Any], num_seeds: int) -> list[str]:
    """Return one phrase per size in which a run differs from the paper's.

    On the bandit every evaluation is one action, and the paper draws a single seed.
    """
    training, environment = config["training"], config["environment"]
    sizes = {
        "gradient steps": (
            training["num_gradient_steps"],
            environment.get("num_gradient_steps"),
        )
    }
    if config["suite"] == "bandit":
        size = environment["dataset"]["num_transitions"]
        sizes["transitions"] = (size, NUM_BANDIT_TRANSITIONS)
    else:
        sizes["evaluation episodes"] = (
            training["num_evaluation_episodes"],
            environment.get("num_evaluation_episodes"),
        )
        sizes["seeds"] = (num_seeds, NUM_PUBLISHED_SEEDS)
    return [
        f"{name}: {ours:,}, the paper's {theirs:,}"
        for name, (ours, theirs) in sizes.items()
        if theirs is not None and ours not in (None, theirs)
    ]


def compare_with_published(
    cell: Mapping[str, Any], config: Mapping[str, Any], directory: Path
) -> dict[str, Any]:
    """Return the published value, the verdict, and how our protocol differs from it."""
    sizes = size_differences(config, len(cell["seeds"]))
    number = find_score(cell["task"], cell["method"], directory)
    if number is None:
        return {
            "published": None,
            "comparison": None,
            "size_differences": sizes,
            "protocol_differences": [],
        }
    comparison = compare_scores(cell, number)
    differences = sizes + selection_difference(comparison["score"], number)
    return {
        "published": _describe_published(number),
        "comparison": comparison,
        "size_differences": sizes,
        "protocol_differences": differences,
    }


def describe_namesake(
    cell: Mapping[str, Any], config: Mapping[str, Any], directory: Path
) -> dict[str, Any] | None:
    """Return the D4RL task that remade data are named after, with the paper's number.

    The data differ, so there is no comparison and no verdict; None for other data, and
    for variants, which are no set of that name.
    """
    task = config["environment"].get("namesake")
    if task is None or config["environment"]["dataset"].get("variant"):
        return None
    number = find_score(task, cell["method"], directory)
    return {"task": task, "published": _describe_published(number) if number else None}


def compare_scores(cell: Mapping[str, Any], number: PublishedScore) -> dict[str, Any]:
    """Return the verdict on a cell's scores against a published number.

    Compared is the score of the number's own selection rule where the cell has it, else
    the last evaluation's; `score` names it.
    """
    rule = number.selection
    if cell["scores"].get(rule, {}).get("mean") is None:
        rule = HEADLINE_RULE
    scores = np.array(list(cell["scores"][rule].get("per_seed", {}).values()))
    mean = PublishedMean(number.score, number.standard_error, NUM_PUBLISHED_SEEDS)
    comparison = compare(scores, mean)
    return {
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "difference": comparison.difference,
        "interval_95": comparison.interval_95,
        "margin": comparison.margin,
        "score": rule,
    }


def selection_difference(rule: str, number: PublishedScore) -> list[str]:
    """Return the phrase that says that our selection is not the published one."""
    if rule == number.selection:
        return []
    return [f"selection: {rule}, the paper's {number.selection}"]


def _describe_published(number: PublishedScore) -> dict[str, Any]:
    """Return the parts of a published number that a cell repeats."""
    return {
        "score": number.score,
        "standard_error": number.standard_error,
        "num_seeds": NUM_PUBLISHED_SEEDS,
        "selection": number.selection,
        "status": number.status,
        "source": number.source,
    }
