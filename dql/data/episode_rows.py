"""From a padded batch of episodes to single ones, the last of them cut to size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dql.behavior.rollout import Episodes
from dql.data.minari_files import Episode


def split(episodes: Episodes) -> Iterator[Episode]:
    """Yield the episodes of a batch without their padding."""
    for index, length in enumerate(episodes.lengths):
        terminations = np.zeros(length, dtype=bool)
        terminations[-1] = episodes.terminated[index]
        truncations = np.zeros(length, dtype=bool)
        truncations[-1] = not episodes.terminated[index]
        yield Episode(
            episodes.observations[index, : length + 1],
            episodes.actions[index, :length],
            episodes.rewards[index, :length],
            terminations,
            truncations,
        )


def cut(episode: Episode, num_rows: int) -> Episode:
    """Return the episode, ended by a truncation if it is longer than `num_rows`."""
    if len(episode.rewards) <= num_rows:
        return episode
    truncations = np.zeros(num_rows, dtype=bool)
    truncations[-1] = True
    return Episode(
        episode.observations[: num_rows + 1],
        episode.actions[:num_rows],
        episode.rewards[:num_rows],
        episode.terminations[:num_rows],
        truncations,
        is_cut=True,
    )
