"""Behavior policies from scratch: SAC with fresh interaction, and snapshots of it.

One run is trained in stages, each a snapshot longer than the one before: a longer run
goes on from a shorter one bit for bit, so a snapshot is what a checkpoint holds: the
actor, and what was played since the snapshot before. The run stays beside the policies;
with a larger budget it goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open

from dql import paths
from dql.agents.registry import SETTINGS
from dql.behavior.kept import AGENT, BATCH_SIZE
from dql.behavior.policies import Arrays, half, save_behavior, serving_step
from dql.behavior.recorded import MOST_TRANSITIONS, Recording
from dql.behavior.summary import HORIZON, describe
from dql.config.data_schema import DatasetConfig
from dql.config.online import OnlineConfig
from dql.config.resolution import online_training
from dql.config.schema import BehaviorConfig, RunConfig, TaskConfig, TrainingConfig
from dql.environments.locomotion import LOCOMOTION
from dql.errors import UserError, nearest
from dql.files import locked, new_folder, write_bytes
from dql.results.files import has_diverged
from dql.results.provenance import versions
from dql.training import loop
from dql.training.checkpoint import PLAYED, checkpoint_file, load_checkpoint
from dql.training.interaction import episode_seed
from dql.training.progress import stages_of
from dql.training.replay_data import load_data
from dql.training.runs import run_identity

SNAPSHOTS = "snapshots"
PLAYED_ARRAYS = ("actions", "rewards", "ends")
VERSIONED = ("mujoco", "numpy", "torch")
CHECKPOINT_INTERVAL = 5000
LOG_INTERVAL = 1000
NEVER = 10**9
"""Gradient steps between evaluations: a stage ends with one, of one episode."""


class Stored(NamedTuple):
    """A snapshot as its file has it."""

    weights: Arrays
    """The actor's, in half precision."""
    played: Arrays
    """Since the last snapshot: `actions` (T, E, A), `rewards` and `ends` (T, E)."""


def train(
    environment: str,
    physics: str,
    budget: BehaviorConfig,
    folder: Path,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train behavior policies and write them to `folder`; return the summary.

    A training that was stopped goes on from its checkpoint. Policies that are no better
    than random actions raise UserError: nothing could be scored by them.
    """
    if environment not in LOCOMOTION:
        raise UserError(
            f"no behavior policies are trained in {environment!r}"
            f"{nearest(environment, LOCOMOTION)}"
        )
    with locked(folder):
        directory = paths.behavior_run(environment)
        found = train_snapshots(environment, physics, budget, directory, device)
        weights = {step: snapshot.weights for step, snapshot in found.items()}
        summary = describe(environment, physics, budget, weights)
        summary["versions"] = {name: versions()[name] for name in VERSIONED}
        medium = serving_step(summary, "medium")
        recording = record(
            [found[step].played for step in found if step <= medium], budget.seed
        )
        with new_folder(folder) as temporary:
            save_behavior(temporary, summary, weights, recording)
    return summary


def train_snapshots(
    environment: str,
    physics: str,
    budget: BehaviorConfig,
    directory: Path,
    device: str = "cpu",
) -> dict[int, Stored]:
    """Return the snapshots by their environment step.

    What an earlier call has trained, of the same settings and code, is taken from the
    run's directory.
    """
    total, interval = budget.num_environment_steps, budget.snapshot_interval
    found = {}
    whole = stage(environment, physics, budget, total)
    with stages_of(whole.training.num_gradient_steps):
        for step in range(interval, total + 1, interval):
            config = stage(environment, physics, budget, step)
            found[step] = _snapshot(config, directory, step, interval, device)
    return found


def stage(
    environment: str, physics: str, budget: BehaviorConfig, num_environment_steps: int
) -> RunConfig:
    """Return the run of SAC from scratch that ends after so many environment steps."""
    name = f"behavior-{environment}"
    online = OnlineConfig(
        num_environment_steps=num_environment_steps,
        start="scratch",
        offline_share=0,
        start_steps=budget.start_steps,
        evaluation_interval=NEVER,
    )
    training = TrainingConfig(
        num_gradient_steps=online.num_updates,
        batch_size=BATCH_SIZE,
        log_interval=LOG_INTERVAL,
        evaluation_interval=NEVER,
        checkpoint_interval=CHECKPOINT_INTERVAL,
        num_evaluation_episodes=1,
    )
    task = TaskConfig(
        name=name,
        suite="local",
        environment=environment,
        horizon=HORIZON,
        physics=physics,
        dataset=DatasetConfig(source="local"),
    )
    return RunConfig(
        task=name,
        method=AGENT,
        label="SAC",
        seed=budget.seed,
        suite="local",
        scale="any",
        agent=AGENT,
        settings=asdict(SETTINGS[AGENT]()),
        training=online_training(training, online),
        online=online,
        environment=task,
    )


def record(played: Sequence[Arrays], seed: int) -> Recording:
    """Return what the stages up to a snapshot have played, or enough of it."""
    rounds = {
        name: np.concatenate([part[name] for part in played]) for name in PLAYED_ARRAYS
    }
    whole = Recording.of_rounds(**rounds, episode_seed=partial(episode_seed, seed))
    return whole.select(whole.sample(MOST_TRANSITIONS, np.random.default_rng(seed)))


def _snapshot(
    config: RunConfig, directory: Path, step: int, num_steps: int, device: str
) -> Stored:
    """Return a stage's snapshot; train the stage if it is not there.

    `num_steps` environment steps are new in it.
    """
    file = directory / SNAPSHOTS / f"{step}.safetensors"
    identity = run_identity(config, load_data(config))
    text = json.dumps(identity, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    stored = _read(file, digest)
    if stored is not None and stored.played["ends"].size == num_steps:
        return stored
    loop.train([config], [directory], foreign_checkpoint="discard", device=device)
    if has_diverged(directory):
        raise UserError(
            f"{directory}: SAC diverged before environment step {step}; train another "
            f"seed: --set suites.local.behavior.seed={config.seed + 1}"
        )
    checkpoint = load_checkpoint(checkpoint_file(directory), identity)
    weights = half(actor_weights(checkpoint.tensors))
    played = rounds_played(checkpoint.played, num_steps)
    arrays = weights | {f"{PLAYED}{name}": array for name, array in played.items()}
    write_bytes(file, safetensors.numpy.save(arrays, {"identity": digest}))
    return Stored(weights, played)


def rounds_played(played: dict[str, torch.Tensor], num_steps: int) -> Arrays:
    """Return the last steps of a checkpoint in rounds, with where episodes ended.

    The buffer keeps next observations where another episode follows, and the last.
    """
    count = len(played["elapsed"])
    ends = played["is_next_kept"].clone()
    ends[-count:] = played["elapsed"] == 0
    arrays = {"actions": played["actions"], "rewards": played["rewards"], "ends": ends}
    return {
        name: array[-num_steps:].unflatten(0, (-1, count)).numpy()
        for name, array in arrays.items()
    }


def _read(file: Path, digest: str) -> Stored | None:
    """Return a snapshot of the run of this identity, None without one."""
    try:
        with safe_open(file, framework="np") as stored:
            if (stored.metadata() or {}).get("identity") != digest:
                return None
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        played = {name: arrays.pop(f"{PLAYED}{name}") for name in PLAYED_ARRAYS}
    except (OSError, SafetensorError, KeyError):
        return None
    return Stored(arrays, played)


def actor_weights(tensors: dict[str, torch.Tensor]) -> Arrays:
    """Return a checkpoint's actor, one run's, under the names of published policies.

    Its last layer has the means' outputs, then the logarithms of the deviations.
    """

    def layer(number: int) -> tuple[np.ndarray, np.ndarray]:
        prefix = f"actor.mlp.layers.{number}"
        weight, bias = tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"]
        return weight[0].T.contiguous().numpy(), bias[0, 0].numpy()

    last, bias = layer(2)
    layers = {
        "fc0": layer(0),
        "fc1": layer(1),
        "last_fc": (np.split(last, 2)[0], np.split(bias, 2)[0]),
        "last_fc_log_std": (np.split(last, 2)[1], np.split(bias, 2)[1]),
    }
    return {
        f"{name}.{part}": np.ascontiguousarray(array)
        for name, arrays in layers.items()
        for part, array in zip(("weight", "bias"), arrays, strict=True)
    }
