"""What a run learns from: recorded rows or, online, a buffer beside them or alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dql import paths
from dql.config.schema import RunConfig, TaskConfig
from dql.core.batch import RowStore
from dql.core.replay import ReplayStore
from dql.core.windows import WindowSpec, make_row_store
from dql.data.datasets import Dataset, load_dataset
from dql.data.variants import load_variant
from dql.environments.batch import make_environments
from dql.results.manifests import check_asked_for, read_manifest


def load_data(config: RunConfig) -> Dataset:
    """Load the task's data; a run that reads none goes without them."""
    if config.online and not config.online.needs_data:
        return no_data(config.environment)
    is_varied = config.environment.dataset.variant is not None
    return (load_variant if is_varied else load_dataset)(config.environment)


def no_data(task: TaskConfig, root: Path = paths.DATASETS) -> Dataset:
    """Return a dataset of no transitions, with the task's reference returns if known.

    It has no digest: what the run learns from is its own. Data of another scale or
    physics than asked for raise UserError, as their references are not the task's.
    """
    known = {}
    if (root / f"{task.name}.json").is_file():
        known = read_manifest(task, root)
        check_asked_for(task, known)
    environment = make_environments(task, 1)
    observations = np.zeros((0, environment.observation_dim), dtype=np.float32)
    actions = np.zeros((0, environment.action_dim), dtype=np.float32)
    numbers = np.zeros(0, dtype=np.float32)
    manifest = {"digest": None, "reference_scores": known.get("reference_scores")}
    return Dataset(observations, actions, numbers, observations, numbers, manifest)


def store_of(
    config: RunConfig,
    datasets: Sequence[Dataset],
    run_datasets: Sequence[int],
    windows: WindowSpec | None,
    device: torch.device,
) -> RowStore:
    """Return the rows that the runs of a block learn from.

    Of an online continuation, whose agent reads no windows, with room for all that they
    will play.
    """
    online = config.online
    if online is None:
        return make_row_store(datasets, run_datasets, windows, device)
    rounds = math.ceil(online.num_environment_steps / online.num_environments)
    return ReplayStore(
        datasets,
        run_datasets,
        rounds * online.num_environments,
        bootstraps=None if online.needs_data else config.environment.horizon > 1,
        device=device,
    )
