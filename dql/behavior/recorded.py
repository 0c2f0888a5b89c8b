"""The replay buffer of a training up to a snapshot: its actions, played again.

Only actions are stored, and of each episode its seed, its length and its return. In the
physics that recorded them they give the buffer's transitions bit for bit; where a
processor rounds otherwise, an episode may come out other than it was, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dql.behavior.rollout import Episodes, play
from dql.environments.batch import BatchEnvironment

BATCH_SIZE = 64
"""Episodes played side by side."""
MOST_TRANSITIONS = 100_000
"""Of a longer buffer, episodes drawn from all of it: recordings are kept in git."""
SAME_RETURN = 1e-6
"""Relative, and absolute: a recorded return is a sum of rewards in single precision."""


@dataclass(frozen=True)
class Recording:
    """K episodes of n transitions, in the order in which they began.

    Of a long buffer these are some, drawn from all of it. The last of each environment
    may stand where the recording stopped.
    """

    actions: np.ndarray
    """(n, A), float32, in [-1, 1]."""
    seeds: np.ndarray
    """(K,), int64: of each episode's first state."""
    lengths: np.ndarray
    """(K,), int64, in transitions; n in all."""
    returns: np.ndarray
    """(K,), float64, undiscounted."""

    @classmethod
    def of_rounds(
        cls,
        actions: np.ndarray,
        rewards: np.ndarray,
        ends: np.ndarray,
        episode_seed: Callable[[int, int], int],
    ) -> Recording:
        """Return one of T rounds of E environments, (T, E, A) and twice (T, E).

        `ends` tells the episodes' last steps; `episode_seed` gets an environment and
        its episode's number, from 0.
        """
        found = []
        for environment in range(ends.shape[1]):
            stops = np.flatnonzero(ends[:, environment]) + 1
            bounds = np.unique(np.concatenate(([0], stops, [len(ends)])))
            found += [
                (start, environment, stop, episode_seed(environment, number))
                for number, (start, stop) in enumerate(pairwise(bounds.tolist()))
            ]
        found.sort()
        parts = [(slice(start, stop), e) for start, e, stop, _ in found]
        return cls(
            np.concatenate([actions[part] for part in parts]),
            np.array([seed for *_, seed in found]),
            np.array([stop - start for start, _, stop, _ in found]),
            np.array([rewards[part].sum(dtype=np.float64) for part in parts]),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Recording:
        """Return the one of stored arrays; what does not fit raises ValueError."""
        found = cls(**arrays)
        count = len(found.lengths)
        fits = (
            found.actions.ndim == 2
            and found.seeds.shape == found.returns.shape == (count,)
            and found.lengths.min(initial=1) > 0
            and found.lengths.sum() == len(found.actions) > 0
        )
        if not fits:
            raise ValueError("the recording's episodes are not those of its actions")
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored, by name."""
        return {name: np.ascontiguousarray(a) for name, a in vars(self).items()}

    def select(self, places: np.ndarray) -> Recording:
        """Return the recording of some of the episodes."""
        bounds = np.cumsum(self.lengths)[:-1]
        episodes = np.split(self.actions, bounds)
        return Recording(
            np.concatenate([episodes[place] for place in places]),
            self.seeds[places],
            self.lengths[places],
            self.returns[places],
        )

    def sample(self, num_rows: int, generator: np.random.Generator) -> np.ndarray:
        """Return places of episodes, drawn until they have so many rows, in order."""
        drawn = generator.permutation(len(self.lengths))
        before = np.cumsum(self.lengths[drawn]) - self.lengths[drawn]
        return np.sort(drawn[before < num_rows])


@dataclass(frozen=True)
class Replayed:
    """A batch of episodes as they came out, and which came out as recorded, (E,)."""

    episodes: Episodes
    as_recorded: np.ndarray


def play_again(
    recording: Recording, chosen: np.ndarray, environment: BatchEnvironment
) -> Replayed:
    """Play the chosen episodes (E,), one in each environment, E of them.

    An episode goes no further than it was recorded.
    """
    lengths = recording.lengths[chosen]
    starts = (np.cumsum(recording.lengths) - recording.lengths)[chosen]

    def act(_: np.ndarray, rows: np.ndarray, time: int) -> np.ndarray:
        return recording.actions[starts[rows] + time]

    seeds = [int(seed) for seed in recording.seeds[chosen]]
    episodes = play(environment, seeds, act, lengths)
    as_recorded = (episodes.lengths == lengths) & np.isclose(
        episodes.returns, recording.returns[chosen], rtol=SAME_RETURN, atol=SAME_RETURN
    )
    return Replayed(episodes, as_recorded)


def batches(chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places in batches of the size that is played side by side."""
    for start in range(0, len(chosen), BATCH_SIZE):
        yield chosen[start : start + BATCH_SIZE]
