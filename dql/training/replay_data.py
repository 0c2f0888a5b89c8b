"""What an online continuation learns from: recorded rows, or none, and a buffer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dql import paths
from dql.config.schema import RunConfig, TaskConfig
from dql.core.replay import ReplayStore
from dql.data.datasets import Dataset
from dql.environments.batch import make_environments
from dql.results.manifests import read_manifest


def no_data(task: TaskConfig, root: Path = paths.DATASETS) -> Dataset:
    """Return a dataset of no transitions, with the task's reference returns if known.

    It has no digest: what the run learns from is its own.
    """
    is_there = (root / f"{task.name}.json").is_file()
    known = read_manifest(task, root) if is_there else {}
    environment = make_environments(task, 1)
    observations = np.zeros((0, environment.observation_dim), dtype=np.float32)
    actions = np.zeros((0, environment.action_dim), dtype=np.float32)
    numbers = np.zeros(0, dtype=np.float32)
    manifest = {"digest": None, "reference_scores": known.get("reference_scores")}
    return Dataset(observations, actions, numbers, observations, numbers, manifest)


def make_replay_store(
    config: RunConfig,
    datasets: Sequence[Dataset],
    run_datasets: Sequence[int],
    device: torch.device,
) -> ReplayStore:
    """Return a store with room for all that the runs of a block will play."""
    online = config.online
    rounds = math.ceil(online.num_environment_steps / online.num_environments)
    return ReplayStore(
        datasets,
        run_datasets,
        rounds * online.num_environments,
        bootstraps=None if online.needs_data else config.environment.horizon > 1,
        device=device,
    )
