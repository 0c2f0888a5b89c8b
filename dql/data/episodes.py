"""Where episodes begin in flat rows, which do not say."""

from __future__ import annotations

import numpy as np

from dql.data.datasets import Dataset


def episode_starts(dataset: Dataset, *, is_antmaze: bool = False) -> np.ndarray:
    """Tell at which rows an episode begins, (n,).

    One goes on where a row leads to the next row's observation and is not terminal. An
    ant that has reached its goal is, at every step there, and goes on all the same.
    """
    starts = np.ones(len(dataset), dtype=bool)
    leads_on = dataset.next_observations[:-1] == dataset.observations[1:]
    starts[1:] = ~leads_on.all(axis=1)
    if not is_antmaze:
        starts[1:] |= dataset.terminations[:-1] > 0
    return starts
