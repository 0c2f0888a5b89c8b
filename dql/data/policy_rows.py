"""Policies rolled out one after another into exactly so many rows, and written.

A part is a policy's share of the rows; the last episode of a part may be cut.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql.bars import progress_bar
from dql.behavior.rollout import Disturbance, Policy, roll_out
from dql.data.episode_rows import cut, split
from dql.data.minari_files import DIMENSIONS, Episode, counted, write_dataset
from dql.environments.locomotion import LocomotionEnvironment, environment_spec

if TYPE_CHECKING:
    from dql.config.data_schema import PolicyPart
    from dql.config.schema import TaskConfig
    from dql.environments.batch import BatchEnvironment

logger = logging.getLogger(__name__)

LICENCE = "made by this workflow, under its licence"
VERSIONED = ("gymnasium", "minari", "mujoco", "numpy")
BATCH_SIZES = (16, 128)
"""Episodes side by side: fewer where few rows are left, which would be thrown away."""


class Environments:
    """Batches of a task's episodes, all of them the first of the largest one so far.

    A simulation that goes leaves most of its memory behind.
    """

    def __init__(self, task: TaskConfig, horizon: int | None = None) -> None:
        self.horizon = horizon or task.horizon
        self._make = partial(
            LocomotionEnvironment,
            task.environment,
            horizon=self.horizon,
            physics=task.physics,
        )
        self._largest: LocomotionEnvironment | None = None

    def of(self, num_episodes: int) -> BatchEnvironment:
        """Return an environment of so many episodes."""
        if self._largest is None or self._largest.num_environments < num_episodes:
            self._largest = self._make(num_episodes)
        if self._largest.num_environments == num_episodes:
            return self._largest
        return FirstEpisodes(self._largest, num_episodes)


class FirstEpisodes:
    """The first episodes of a batch, as a batch of their own; the others rest."""

    def __init__(self, environment: LocomotionEnvironment, count: int) -> None:
        self.environment = environment
        self.observation_dim = environment.observation_dim
        self.action_dim = environment.action_dim
        self.num_environments = count
        self.horizon = environment.horizon
        self.is_shareable = environment.is_shareable

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Start episodes from their own seeds; see `BatchEnvironment`."""
        chosen = range(self.num_environments) if chosen is None else chosen
        return self.environment.reset(seeds, chosen)[: self.num_environments]

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes; see `BatchEnvironment`."""
        rest = self.environment.num_environments - self.num_environments
        outcome = self.environment.step(
            np.pad(actions, ((0, rest), (0, 0))), np.pad(active, (0, rest))
        )
        return tuple(values[: self.num_environments] for values in outcome)


def write_rows(
    task: TaskConfig,
    episodes: Iterable[Episode],
    num_transitions: int,
    description: dict[str, Any],
    root: Path,
) -> dict[str, Any]:
    """Write a locomotion task's episodes and manifest; return the latter.

    `num_transitions` is what the progress bar counts to.
    """
    with progress_bar(f"rolling out {task.name}", num_transitions) as progress:
        manifest = write_dataset(
            task.name,
            counted(episodes, progress),
            root=root,
            dimensions=DIMENSIONS[task.environment],
            description=description,
            environment_spec=environment_spec(
                task.environment, task.physics, task.horizon
            ),
        )
    logger.info(
        "%s: %d transitions, mean return %.0f",
        task.name,
        manifest["num_transitions"],
        manifest["episode_return"]["mean"] or float("nan"),
    )
    return manifest


def part_sizes(parts: Sequence[PolicyPart], num_transitions: int) -> list[int]:
    """Return how many transitions each part has: its share, rounded, all in all N."""
    shares = np.cumsum([part.share for part in parts])
    bounds = np.round(num_transitions * shares / shares[-1]).astype(int)
    return np.diff(bounds, prepend=0).tolist()


def roll_out_parts(
    task: TaskConfig,
    parts: Sequence[PolicyPart],
    policies: Sequence[Policy],
    num_transitions: int,
) -> Iterator[Episode]:
    """Yield exactly `num_transitions` rows, a policy for each part."""
    sizes = part_sizes(parts, num_transitions)
    environments = Environments(task)
    for index, (part, policy) in enumerate(zip(parts, policies, strict=True)):
        stream = zlib.crc32(f"{index} {part.policy}".encode())
        generator = np.random.default_rng([task.dataset.seed, stream])
        yield from roll_out_part(environments, part, policy, sizes[index], generator)


def roll_out_part(
    environments: Environments,
    part: PolicyPart,
    policy: Policy,
    num_rows: int,
    generator: np.random.Generator,
    *,
    batch_size: int | None = None,
) -> Iterator[Episode]:
    """Yield exactly `num_rows` rows of a policy, disturbed as its part says.

    With a batch size, fewer rows are the first of more; else it follows what is left.
    """
    fixed = batch_size
    while num_rows > 0:
        # Whole batches, in the order they began: what ends early is not favoured.
        needed = -(-num_rows // environments.horizon)
        batch_size = fixed or int(np.clip(needed, *BATCH_SIZES))
        environment = environments.of(batch_size)
        disturbance = Disturbance.draw(
            batch_size, part.noise_std, part.random_share, generator
        )
        for episode in split(roll_out(environment, policy, disturbance, generator)):
            if num_rows > 0:
                yield cut(episode, num_rows)
                num_rows -= min(num_rows, len(episode.rewards))
