"""Read one run's stored files and say what is wrong with them, if anything.

A run directory holds config.json, evaluations.csv, metrics.csv and provenance.json
(and samples.csv on the bandit). Nothing here averages or decides: a problem is a
sentence, and whoever aggregates leaves the run out and repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dql import paths
from dql.config.schema import RunConfig
from dql.errors import UserError
from dql.files import file_sha256
from dql.results.files import (
    UnusableRunError,
    check_digest,
    numbers_of,
    read_csv,
    read_json,
)
from dql.results.manifests import check_reference_scores

UNCOMPARED_KEYS = ("label", "scale", "training.checkpoint_interval")
"""Configuration that cannot change a run's evaluations."""

MEASURED = (
    "num_gradient_steps", "wall_seconds", "gpu_seconds", "steps_per_second",
    "peak_memory_bytes",
)  # fmt: skip
"""Costs in a run's provenance."""

EVALUATION_COLUMNS = ("gradient_step", "episode", "episode_return", "episode_length")


@dataclass(frozen=True)
class StoredRun:
    """One (task, method, seed) as found on disk."""

    directory: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    evaluations: pd.DataFrame
    _metrics: dict[str, tuple[np.ndarray, np.ndarray] | None] = field(
        default_factory=dict, repr=False
    )

    @property
    def seed(self) -> int:
        """Return the seed that the run's own configuration states."""
        return int(self.config["seed"])

    @property
    def diverged(self) -> dict[str, Any] | None:
        """Return {step, term} of a run that stopped on a non-finite value."""
        return self.provenance.get("diverged") or None

    @property
    def dataset_digest(self) -> str | None:
        """Return the digest of the data that the run was trained on."""
        return (self.provenance.get("dataset") or {}).get("digest")

    @property
    def physics(self) -> str | None:
        """Return the physics that the run was evaluated in."""
        return self.provenance.get("physics")

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct gradient steps, and each episode's position in them."""
        steps = self.evaluations["gradient_step"].to_numpy()
        return np.unique(steps, return_inverse=True)

    @property
    def evaluation_steps(self) -> np.ndarray:
        """Return the gradient steps of the evaluations, ascending."""
        return self._groups[0]

    @cached_property
    def mean_returns(self) -> np.ndarray:
        """Return the mean episode return of each evaluation, in the order of steps."""
        returns = self.evaluations["episode_return"].to_numpy(dtype=float)
        positions = self._groups[1]
        return np.bincount(positions, weights=returns) / np.bincount(positions)

    @cached_property
    def episode_counts(self) -> np.ndarray:
        """Return the number of distinct episodes of each evaluation."""
        steps, positions = self._groups
        episodes = np.unique(
            self.evaluations["episode"].to_numpy(), return_inverse=True
        )
        span = len(episodes[0])
        distinct = np.unique(positions * span + episodes[1])
        return np.bincount(distinct // max(span, 1), minlength=len(steps))

    @property
    def episode_returns(self) -> np.ndarray:
        """Return the returns of a run without problems, (evaluations, episodes)."""
        table = self.evaluations
        order = np.lexsort((table["episode"].to_numpy(), self._groups[1]))
        returns = table["episode_return"].to_numpy(dtype=float)[order]
        return returns.reshape(len(self.evaluation_steps), -1)

    @cached_property
    def evaluations_digest(self) -> str:
        """Return a digest of evaluations.csv, to notice copies."""
        return file_sha256(self.directory / paths.EVALUATIONS_FILE)

    def metric(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (gradient_steps, values) of a logged metric, or None if not logged."""
        if name not in self._metrics:
            self._metrics[name] = self._read_metric(name)
        return self._metrics[name]

    def _read_metric(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Read the two columns of a metric; the others are not even parsed."""
        path = self.directory / paths.METRICS_FILE
        if not path.is_file():
            return None
        with path.open(encoding="utf-8", errors="replace") as stream:
            header = stream.readline().rstrip("\r\n").split(",")
        wanted = ["gradient_step", name]
        if not set(wanted) <= set(header):
            return None
        rows = read_csv(path, usecols=wanted)
        steps, values = (numbers_of(rows, column, path) for column in wanted)
        logged = ~np.isnan(values)
        return steps[logged], values[logged]


def read_run(directory: Path) -> StoredRun:
    """Read a run directory; a run without sound files raises `UnusableRunError`."""
    path = directory / paths.EVALUATIONS_FILE
    evaluations = read_csv(path)
    missing = [name for name in EVALUATION_COLUMNS if name not in evaluations]
    if missing:
        raise UnusableRunError(f"{path}: no column {', '.join(missing)}")
    columns = {name: numbers_of(evaluations, name, path) for name in EVALUATION_COLUMNS}
    if any(np.isnan(columns[name]).any() for name in ("gradient_step", "episode")):
        reason = "an episode lacks its gradient step or its number"
        raise UnusableRunError(f"{path}: {reason}")
    provenance = _read_provenance(directory / paths.PROVENANCE_FILE)
    for name in (paths.CONFIG_FILE, paths.METRICS_FILE, paths.EVALUATIONS_FILE):
        check_digest(directory / name)
    return StoredRun(directory, read_run_config(directory), provenance, evaluations)


def _read_provenance(path: Path) -> dict[str, Any]:
    """Return a run's provenance; what is not of its kind in there is named."""
    provenance = read_json(path)
    for name in ("dataset", "diverged", "versions"):
        if not isinstance(provenance.get(name) or {}, dict):
            raise UnusableRunError(f"{path}: '{name}' is not an object")
    for name in MEASURED:
        value = provenance.get(name) or 0
        if not (isinstance(value, int | float) and abs(value) < np.inf):
            raise UnusableRunError(f"{path}: '{name}' is not a finite number")
    dataset = provenance.get("dataset") or {}
    if not isinstance(dataset.get("digest"), str | None):
        raise UnusableRunError(f"{path}: the dataset's digest is not a text")
    try:
        check_reference_scores(dataset.get("reference_scores"), str(path))
    except UserError as error:
        raise UnusableRunError(str(error)) from None
    return provenance


def read_run_config(directory: Path) -> dict[str, Any]:
    """Return a run's complete configuration; what is not one is named."""
    path = directory / paths.CONFIG_FILE
    content = read_json(path)
    try:
        RunConfig.model_validate(content, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        raise UnusableRunError(
            f"{path}: not a run's configuration ({key}: {fault['msg']})"
        ) from None
    return content


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def config_differences(
    stored: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Return one phrase per setting in which two configurations differ."""
    if stored == expected:
        return []
    ours, theirs = flatten(stored), flatten(expected)
    keys = sorted((set(ours) | set(theirs)) - set(UNCOMPARED_KEYS))
    return [
        f"{key} is {ours.get(key, 'absent')}, expected {theirs.get(key, 'absent')}"
        for key in keys
        if ours.get(key) != theirs.get(key)
    ]


def evaluation_problems(run: StoredRun) -> list[str]:
    """Return what is short, duplicated or not finite in a run's evaluations."""
    training = run.config["training"]
    table, problems = run.evaluations, []
    if run.episode_counts.sum() < len(table):
        problems.append("evaluations.csv repeats episodes")
    if not np.isfinite(table["episode_return"].to_numpy(dtype=float)).all():
        problems.append("evaluations.csv holds returns that are not finite")
    total, interval = training["num_gradient_steps"], training["evaluation_interval"]
    first = [0] if run.config.get("online") else []
    due = {*first, *range(interval, total + 1, interval), total}
    found = set(run.evaluation_steps.tolist())
    absent, extra = sorted(due - found), sorted(found - due)
    if absent:
        problems.append(
            f"evaluations.csv is short: nothing at gradient step {absent[0]}"
            f" ({len(absent)} of {len(due)} evaluations missing)"
        )
    if extra:
        problems.append(
            f"evaluations.csv has gradient step {extra[0]}, which is not due"
        )
    expected = training["num_evaluation_episodes"]
    wrong = np.flatnonzero(run.episode_counts != expected)
    if len(wrong):
        step, count = run.evaluation_steps[wrong[0]], run.episode_counts[wrong[0]]
        problems.append(
            f"gradient step {step} has {count} episodes, expected {expected}"
        )
    return problems
