"""Read one run's stored files and say what is wrong with them, if anything.

A run directory holds config.json, evaluations.csv, metrics.csv and provenance.json
(and samples.csv on the bandit). Nothing here averages or decides: a problem is a
sentence, and whoever aggregates leaves the run out and repeats it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dql import paths
from dql.errors import UserError
from dql.files import file_sha256
from dql.schema import RunConfig

UNCOMPARED_KEYS = ("label", "scale", "training.checkpoint_interval")
"""Configuration that cannot change a run's evaluations."""

MEASURED = ("wall_seconds", "gpu_seconds", "steps_per_second", "peak_memory_bytes")
"""Costs in a run's provenance."""

EVALUATION_COLUMNS = ("gradient_step", "episode", "episode_return", "episode_length")


class UnusableRunError(UserError):
    """A stored run that cannot be read; the message names the file and the fault."""


@dataclass(frozen=True)
class StoredRun:
    """One (task, method, seed) as found on disk."""

    directory: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    evaluations: pd.DataFrame

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
    def evaluation_steps(self) -> np.ndarray:
        """Return the gradient steps of the evaluations, ascending."""
        return np.unique(self.evaluations["gradient_step"].to_numpy())

    @cached_property
    def mean_returns(self) -> np.ndarray:
        """Return the mean episode return of each evaluation, in the order of steps."""
        groups = self.evaluations.groupby("gradient_step", sort=True)
        return groups["episode_return"].mean().to_numpy()

    @cached_property
    def evaluations_digest(self) -> str:
        """Return a digest of evaluations.csv, to notice copies."""
        return hashlib.sha256(
            (self.directory / paths.EVALUATIONS_FILE).read_bytes()
        ).hexdigest()

    def metric(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (gradient_steps, values) of a logged metric, or None if not logged."""
        path = self.directory / paths.METRICS_FILE
        if not path.is_file():
            return None
        metrics = read_csv(path)
        if name not in metrics or "gradient_step" not in metrics:
            return None
        rows = metrics[["gradient_step", name]].dropna()
        return rows["gradient_step"].to_numpy(), rows[name].to_numpy()


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; a missing or broken file is named."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableRunError(f"{path}: no such file") from None
    except OSError as error:
        raise UnusableRunError(f"{path}: unreadable ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UnusableRunError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise UnusableRunError(f"{path}: not a JSON object")
    return content


def read_csv(path: Path) -> pd.DataFrame:
    """Return a CSV table; a missing or broken file is named."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UnusableRunError(f"{path}: no such file") from None
    except OSError as error:
        raise UnusableRunError(f"{path}: unreadable ({error.strerror})") from None
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise UnusableRunError(f"{path}: not a CSV table ({error})") from None


def read_run(directory: Path) -> StoredRun:
    """Read a run directory; a run without sound files raises `UnusableRunError`."""
    path = directory / paths.EVALUATIONS_FILE
    evaluations = read_csv(path)
    missing = [name for name in EVALUATION_COLUMNS if name not in evaluations]
    if missing:
        raise UnusableRunError(f"{path}: no column {', '.join(missing)}")
    check_numbers(path, evaluations, EVALUATION_COLUMNS)
    metrics = directory / paths.METRICS_FILE
    if metrics.is_file() and metrics.read_bytes().strip():
        table = read_csv(metrics)
        check_numbers(metrics, table, table.columns)
    provenance = read_json(directory / paths.PROVENANCE_FILE)
    for name in ("dataset", "diverged", "versions"):
        if not isinstance(provenance.get(name) or {}, dict):
            raise UnusableRunError(
                f"{directory / paths.PROVENANCE_FILE}: '{name}' is not an object"
            )
    for name in MEASURED:
        value = provenance.get(name) or 0
        if not (isinstance(value, int | float) and abs(value) < np.inf):
            raise UnusableRunError(
                f"{directory / paths.PROVENANCE_FILE}: '{name}' is not a finite number"
            )
    for name in (paths.CONFIG_FILE, paths.METRICS_FILE, paths.EVALUATIONS_FILE):
        check_digest(directory / name)
    return StoredRun(directory, read_run_config(directory), provenance, evaluations)


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


def check_numbers(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise unless the columns hold numbers; an empty table has none to be wrong."""
    for name in columns:
        if len(table) and table[name].dtype.kind not in "iuf":
            raise UnusableRunError(f"{path}: column {name} holds more than numbers")


def check_digest(path: Path) -> None:
    """Raise when a run's file is not the one that its provenance was written for."""
    provenance = path.parent / paths.PROVENANCE_FILE
    if not (provenance.is_file() and path.is_file()):
        return
    known = read_json(provenance).get("files")
    expected = known.get(path.name) if isinstance(known, dict) else None
    if expected not in (None, found := file_sha256(path)):
        raise UnusableRunError(
            f"{path}: changed since the run wrote it (sha256 {found[:12]}, recorded "
            f"{str(expected)[:12]}); train the run again, which restores it"
        )


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
    if table.duplicated(["gradient_step", "episode"]).any():
        problems.append("evaluations.csv repeats episodes")
    if not np.isfinite(table["episode_return"].to_numpy(dtype=float)).all():
        problems.append("evaluations.csv holds returns that are not finite")
    total, interval = training["num_gradient_steps"], training["evaluation_interval"]
    due = {*range(interval, total + 1, interval), total}
    absent = sorted(due - set(run.evaluation_steps.tolist()))
    if absent:
        problems.append(
            f"evaluations.csv is short: nothing at gradient step {absent[0]}"
            f" ({len(absent)} of {len(due)} evaluations missing)"
        )
    counts = table.groupby("gradient_step")["episode"].nunique()
    wrong = counts[counts != training["num_evaluation_episodes"]]
    if len(wrong):
        problems.append(
            f"gradient step {wrong.index[0]} has {wrong.iloc[0]} episodes,"
            f" expected {training['num_evaluation_episodes']}"
        )
    return problems
