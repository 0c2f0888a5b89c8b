"""Small files of D4RL's form, and tasks that are trained on them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import d4rl_rows, datasets

Arrays = dict[str, np.ndarray]


def make_task(environment: str = "hopper", **kwargs) -> TaskConfig:
    """Make a task with an official file; the URL leads nowhere unless given."""
    dataset = {"source": "d4rl", "url": "http://127.0.0.1:9/data.hdf5"}
    dataset |= kwargs.pop("dataset", {})
    family = environment.partition("-")[0]
    suites = {"hopper": "gym", "antmaze": "antmaze", "pen": "adroit"}
    values = {
        "name": f"{environment}-test-v2",
        "suite": suites.get(family, "kitchen"),
        "environment": environment,
        "horizon": 5,
        "reference_min_score": 0.0,
        "reference_max_score": 4.0,
        "dataset": DatasetConfig(**dataset),
    }
    return TaskConfig(**(values | kwargs))


def make_arrays(environment: str, num_rows: int, **flags: list[int]) -> Arrays:
    """Draw rows; each of `flags` lists the rows where it is set."""
    generator = np.random.default_rng(num_rows)
    observation_dim, action_dim = d4rl_rows.dimensions(environment)
    arrays = {
        "observations": generator.normal(size=(num_rows, observation_dim)),
        "actions": generator.uniform(-1, 1, (num_rows, action_dim)),
        "rewards": generator.normal(size=num_rows),
        "terminals": np.zeros(num_rows, dtype=bool),
    }
    for name, rows in flags.items():
        arrays[name] = np.isin(np.arange(num_rows), rows)
    return {
        name: array.astype(np.float32) if array.dtype == float else array
        for name, array in arrays.items()
    }


def write_file(path: Path, arrays: Arrays) -> bytes:
    """Write a D4RL file; return its content."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            options = {"compression": "gzip"} if np.ndim(array) else {}
            file.create_dataset(name, data=array, **options)
        file.create_dataset("infos/qpos", data=np.zeros(3))
        file.create_dataset("metadata/algorithm", data="SAC")
    return path.read_bytes()


def reference_rows(arrays: Arrays, max_episode_steps: int) -> Arrays:
    """Go through the flat rows one at a time, as D4RL documents `qlearning_dataset`."""
    kept: dict[str, list] = {name: [] for name in datasets.ARRAYS}
    count = 0
    for row in range(arrays["rewards"].shape[0] - 1):
        done = bool(arrays["terminals"][row])
        if "timeouts" in arrays:
            is_final = bool(arrays["timeouts"][row])
        else:
            is_final = count == max_episode_steps - 1
        if is_final:
            count = 0
            continue
        if done:
            count = 0
        kept["observations"].append(arrays["observations"][row])
        kept["next_observations"].append(arrays["observations"][row + 1])
        kept["actions"].append(arrays["actions"][row])
        kept["rewards"].append(np.ravel(arrays["rewards"])[row])
        kept["terminations"].append(done)
        count += 1
    return {name: np.array(rows, dtype=np.float32) for name, rows in kept.items()}
