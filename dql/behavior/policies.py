"""Behavior policies of the local suite: snapshots of SAC's actor, on disk and loaded.

A folder holds the weights in half precision, which are the policy: what is stored of
its returns was measured with them. A summary beside says what each snapshot serves.
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
from dql.behavior.snapshots import Snapshot
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError
from dql.files import locked, write_bytes, write_json

KIND = "own_sac_policy"
SERVED = ("medium", "medium-replay", "expert")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Behavior:
    """What is on disk: the summary, and the policies by their environment step."""

    summary: dict[str, Any]
    policies: dict[int, Snapshot]

    def serving(self, quality: str) -> list[int]:
        """Return the environment steps of the policies that a quality is made of."""
        return [
            entry["environment_step"]
            for entry in self.summary["policies"]
            if quality in entry["qualities"]
        ]


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
    folder: Path, summary: dict[str, Any], weights: dict[int, Arrays]
) -> None:
    """Write the summary and, by environment step, the weights that it lists."""
    tensors = {
        f"{entry['environment_step']}.{name}": array
        for entry in summary["policies"]
        for name, array in weights[entry["environment_step"]].items()
    }
    write_bytes(folder / POLICIES_FILE, safetensors.numpy.save(tensors))
    write_json(folder / SUMMARY_FILE, summary)


def load_behavior(folder: Path, environment: str) -> Behavior:
    """Read the policies of an environment and check that the two files agree."""
    again = f"make them again with: dql data behavior {environment}"
    try:
        with locked(folder):
            text = (folder / SUMMARY_FILE).read_text(encoding="utf-8")
            content = (folder / POLICIES_FILE).read_bytes()
        summary = json.loads(text)
        found = summary["environment"]
        listed = _listed(summary)
        weights = _by_step(safetensors.numpy.load(content))
    except FileNotFoundError as error:
        raise UserError(
            f"there are no behavior policies in {folder}: {error.filename} is missing; "
            f"make them with: dql data behavior {environment}"
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
    return Behavior(summary, policies)


def _listed(summary: dict[str, Any]) -> list[int]:
    """Return the environment steps of a summary's policies; what is no summary raises.

    ValueError, KeyError or TypeError: a quality that is served, or a key, is missing.
    """
    entries = summary["policies"]
    for quality in SERVED:
        if not any(quality in entry["qualities"] for entry in entries):
            raise ValueError(f"no policy serves '{quality}'")
    for key in ("physics", "reference_scores", "settings"):
        summary[key]
    if not summary["budget"]["start_steps"] < summary["budget"]["snapshot_interval"]:
        raise ValueError("its budget has random steps past the first snapshot")
    return [int(entry["environment_step"]) for entry in entries]


def _by_step(tensors: Arrays) -> dict[int, Arrays]:
    """Return the arrays of every snapshot under their own names."""
    found: dict[int, Arrays] = {}
    for name, array in tensors.items():
        step, _, own = name.partition(".")
        found.setdefault(int(step), {})[own] = array
    return found
