"""A dataset of three short episodes, one of each ending."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import minari_files
from dql.data.minari_files import Episode

DIMENSIONS = (3, 2)


def make_task(name: str = "local-test", **kwargs) -> TaskConfig:
    """Make a task whose data the tests write, nine rows unless told."""
    source, num_rows = kwargs.pop("source", "local"), kwargs.pop("num_transitions", 9)
    dataset = DatasetConfig(source=source, num_transitions=num_rows)
    return TaskConfig(
        name=name, suite="local", environment="hopper", horizon=5, dataset=dataset
    )


def make_episode(length: int, ending: str, first: float = 0.0) -> Episode:
    """Make an episode whose observations count up from `first`."""
    flags = {
        name: np.arange(length) == (length - 1 if ending == name else -1)
        for name in ("termination", "truncation")
    }
    counts = first + np.arange(length + 1.0)
    return Episode(
        np.repeat(counts[:, None], DIMENSIONS[0], axis=1),
        np.full((length, DIMENSIONS[1]), 0.5),
        counts[:length] / 10,
        flags["termination"],
        flags["truncation"],
    )


def three_episodes() -> Iterator[Episode]:
    """Yield one episode of each ending, the last one cut."""
    yield make_episode(3, "termination", first=10)
    yield make_episode(2, "truncation", first=20)
    yield make_episode(4, "termination", first=30)


def write(root: Path, episodes: object = None, name: str = "local-test") -> dict:
    """Write the episodes as a dataset."""
    return minari_files.write_dataset(
        name,
        three_episodes() if episodes is None else episodes,
        root=root,
        dimensions=DIMENSIONS,
        description={"source": "local", "reference_scores": {"min": 1.0, "max": 2.0}},
    )
