"""Behavior policies drawn here, as a training leaves them: for a test's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from synthetic_weights import draw

from dql.behavior.kept import agent_settings
from dql.behavior.policies import half, save_behavior
from dql.behavior.recorded import Recording
from dql.behavior.rollout import RandomActions, play
from dql.behavior.snapshots import layer_shapes
from dql.config.schema import BehaviorConfig
from dql.environments.locomotion import LocomotionEnvironment

DIMS = {"hopper": (11, 3), "walker2d": (17, 6), "halfcheetah": (17, 6)}
BUDGET = BehaviorConfig(
    num_environment_steps=400, snapshot_interval=100, start_steps=50
)
SERVED = {200: ["medium"], 400: ["expert"]}


def policy_weights(environment: str = "hopper", seed: int = 0, width: int = 16):
    """Draw the arrays of a narrow policy, in half precision."""
    return half(draw(layer_shapes(*DIMS[environment], width), seed, scale=0.3))


def make_summary(environment: str = "hopper", **changes: Any) -> dict[str, Any]:
    """Return a summary whose returns were measured nowhere."""
    entries = [
        {
            "environment_step": step,
            "mean_return": float(step),
            "std_return": 1.0,
            "return_by_mean": float(step),
            "num_episodes": 2,
            "qualities": qualities,
        }
        for step, qualities in SERVED.items()
    ]
    summary = {
        "environment": environment,
        "physics": "d4rl",
        "budget": BUDGET.model_dump(),
        "settings": agent_settings(),
        "reference_scores": {"min": 10.0, "max": 400.0, "source": "no measurement"},
        "policies": entries,
        "learning_curve": entries,
        "versions": {"numpy": np.__version__},
    }
    return summary | changes


def make_recording(environment: str = "hopper", num_rows: int = 200) -> Recording:
    """Play random actions and record them, the last episode where the rows end."""
    batch = LocomotionEnvironment(environment, 20)
    seeds, generator = range(50, 70), np.random.default_rng(0)
    limits = np.full(20, 20)  # as if that were the horizon: some do not fall before
    policy = RandomActions(batch.action_dim)
    played = play(
        batch, seeds, lambda seen, *_: policy.actions(seen, generator), limits
    )
    bounds = np.minimum(np.cumsum(played.lengths), num_rows)
    lengths = np.diff(bounds, prepend=0)
    lengths = lengths[lengths > 0]
    rows = [(i, slice(0, length)) for i, length in enumerate(lengths)]
    return Recording(
        np.concatenate([played.actions[row] for row in rows]),
        np.array(seeds[: len(rows)]),
        lengths,
        np.array([played.rewards[row].sum() for row in rows]),
    )


def make_behavior(folder: Path, environment: str = "hopper", **changes: Any) -> Path:
    """Write policies of an environment to a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {step: policy_weights(environment, step) for step in SERVED}
    recording = make_recording(environment)
    save_behavior(folder, make_summary(environment, **changes), weights, recording)
    return folder
