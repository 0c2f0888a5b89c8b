"""Behavior policies of the local suite: snapshots of SAC's actor, on disk and loaded.

A folder holds the weights in half precision, which are the policy: what is stored of
its returns was measured with them. With them is the recording of the training up to the
medium policy. A summary beside says what each snapshot serves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from dql.behavior.kept import POLICIES_FILE, SUMMARY_FILE
from dql.behavior.recorded import MOST_TRANSITIONS, Recording
from dql.behavior.snapshots import Snapshot
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError
from dql.files import locked, write_bytes, write_json

KIND = "own_sac_policy"
SERVED = ("medium", "expert")
RECORDED = "recorded"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Behavior:
    """What is on disk: summary, policies by their environment step, replay buffer."""

    summary: dict[str, Any]
    policies: dict[int, Snapshot]
    recording: Recording

    def serving(self, quality: str) -> int:
        """Return the environment step of the policy that serves a quality."""
        return serving_step(self.summary, quality)


def serving_step(summary: dict[str, Any], quality: str) -> int:
    """Return the environment step of a summary's policy that serves a quality."""
    return next(
        entry["environment_step"]
        for entry in summary["policies"]
        if quality in entry["qualities"]
    )


def half(weights: Arrays) -> Arrays:
    """Return weights in half precision; what that cannot hold raises UserError."""
    with np.errstate(over="ignore"):
        rounded = {name: array.astype(np.float16) for name, array in weights.items()}
    for name, array in rounded.items():
        if not np.isfinite(array).all():
            raise UserError(
                f"array '{name}' of a policy leaves the range of half precision: its "
                "training has gone astray; train another seed"
            )
    return rounded


def make_policy(weights: Arrays, observation_dim: int, action_dim: int) -> Snapshot:
    """Return the policy of weights in half precision; other shapes raise UserError."""
    single = {name: array.astype(np.float32) for name, array in weights.items()}
    return Snapshot(single, observation_dim, action_dim, KIND)


def save_behavior(
    folder: Path,
    summary: dict[str, Any],
    weights: dict[int, Arrays],
    recording: Recording,
) -> None:
    """Write the summary, the recording and, by step, the weights that are listed."""
    tensors = {
        f"{entry['environment_step']}.{name}": array
        for entry in summary["policies"]
        for name, array in weights[entry["environment_step"]].items()
    }
    stored = recording.arrays().items()
    tensors |= {f"{RECORDED}.{name}": array for name, array in stored}
    write_bytes(folder / POLICIES_FILE, safetensors.numpy.save(tensors))
    write_json(folder / SUMMARY_FILE, summary)


def load_behavior(
    folder: Path, environment: str, *, remedy: str | None = None
) -> Behavior:
    """Read the policies of an environment and check that the two files agree.

    `remedy` ends the errors: how to get them again, by default by the command.
    """
    again = remedy or f"make them again with: dql data behavior {environment}"
    try:
        with locked(folder):
            text = (folder / SUMMARY_FILE).read_text(encoding="utf-8")
            content = (folder / POLICIES_FILE).read_bytes()
        summary = json.loads(text)
        found = summary["environment"]
        listed = _listed(summary)
        groups = _grouped(safetensors.numpy.load(content))
        recording = Recording.from_arrays(groups.pop(RECORDED))
        weights = {int(step): arrays for step, arrays in groups.items()}
    except FileNotFoundError as error:
        raise UserError(
            f"there are no behavior policies in {folder}: {error.filename} is missing; "
            f"{again}"
        ) from None
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(
            f"the behavior policies in {folder} cannot be read ({error}); {again}"
        ) from None
    if found != environment:
        raise UserError(f"{folder} holds policies of '{found}'; {again}")
    if sorted(weights) != sorted(listed):
        raise UserError(
            f"{folder}: {SUMMARY_FILE} lists policies of the environment steps "
            f"{listed}, {POLICIES_FILE} holds {sorted(weights)}; {again}"
        )
    probe = LocomotionEnvironment(environment, 1)
    dims = probe.observation_dim, probe.action_dim
    try:
        policies = {step: make_policy(weights[step], *dims) for step in listed}
    except UserError as error:
        raise UserError(f"{folder / POLICIES_FILE}: {error}; {again}") from None
    num_recorded, medium = len(recording.actions), serving_step(summary, "medium")
    least = min(medium, MOST_TRANSITIONS)
    fits = recording.actions.shape[1] == probe.action_dim
    if not fits or not least <= num_recorded <= medium:
        raise UserError(
            f"{folder / POLICIES_FILE} records {num_recorded} transitions with actions "
            f"of {recording.actions.shape[1]} numbers; the medium policy is of "
            f"environment step {medium}; {again}"
        )
    return Behavior(summary, policies, recording)


def _listed(summary: dict[str, Any]) -> list[int]:
    """Return the environment steps of a summary's policies; what is no summary raises.

    ValueError, KeyError or TypeError: a quality that is served, or a key, is missing.
    """
    entries = summary["policies"]
    for quality in SERVED:
        if not any(quality in entry["qualities"] for entry in entries):
            raise ValueError(f"no policy serves '{quality}'")
    for key in ("physics", "budget", "reference_scores", "settings"):
        summary[key]
    return [int(entry["environment_step"]) for entry in entries]


def _grouped(tensors: Arrays) -> dict[str, Arrays]:
    """Return arrays by what stands before the dot of their names."""
    found: dict[str, Arrays] = {}
    for name, array in tensors.items():
        group, _, own = name.partition(".")
        found.setdefault(group, {})[own] = array
    return found
