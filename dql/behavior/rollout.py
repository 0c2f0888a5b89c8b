"""Episodes of published policies, many at once, with disturbances of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dql.behavior.linear import Episodes
from dql.environments.batch import BatchEnvironment


class Policy(Protocol):
    """What acts on many observations at once."""

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), in [-1, 1]."""
        ...


@dataclass(frozen=True)
class Disturbance:
    """What each of E episodes does to its actions: noise, and steps at random."""

    noise_stds: np.ndarray
    random_shares: np.ndarray

    @classmethod
    def draw(
        cls,
        num_episodes: int,
        noise_std: Sequence[float],
        random_share: Sequence[float],
        generator: np.random.Generator,
    ) -> Disturbance:
        """Draw every episode's own, uniform in two ranges (low, high)."""
        ranges = np.array((noise_std, random_share), dtype=np.float64)
        drawn = generator.uniform(size=(num_episodes, 2))
        values = ranges[:, 0] + drawn * (ranges[:, 1] - ranges[:, 0])
        return cls(values[:, 0], values[:, 1])

    def apply(
        self, actions: np.ndarray, rows: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Return the disturbed actions (B, A) of the episodes `rows` (B,)."""
        noise = self.noise_stds[rows, None] * generator.standard_normal(actions.shape)
        disturbed = np.clip(actions + noise, -1.0, 1.0)
        is_random = generator.uniform(size=len(rows)) < self.random_shares[rows]
        uniform = generator.uniform(-1.0, 1.0, actions.shape)
        return np.where(is_random[:, None], uniform, disturbed)


def roll_out(
    environment: BatchEnvironment,
    policy: Policy,
    disturbance: Disturbance,
    generator: np.random.Generator,
) -> Episodes:
    """Run one episode per environment, all in step; rewards past an end are zero.

    Observations and actions are kept in float32, as datasets keep them, which halves
    the memory; the policy sees the simulator's. Only episodes that still run ask it.
    """
    num_episodes = environment.num_environments
    seeds = generator.integers(2**31, size=num_episodes)
    observation = environment.reset([int(seed) for seed in seeds])
    observations, actions, rewards = [observation.astype(np.float32)], [], []
    active = np.ones(num_episodes, dtype=bool)
    lengths = np.zeros(num_episodes, dtype=np.int64)
    terminated = np.zeros(num_episodes, dtype=bool)
    while active.any():
        rows = np.flatnonzero(active)
        chosen = policy.actions(observation[rows], generator)
        action = np.zeros((num_episodes, environment.action_dim), dtype=np.float32)
        action[rows] = disturbance.apply(chosen, rows, generator)
        outcome = environment.step(action, active)
        observation, reward, terminations, truncations = outcome
        observations.append(observation.astype(np.float32))
        actions.append(action)
        rewards.append(reward)
        lengths += active
        terminated |= terminations
        active &= ~(terminations | truncations)
    return Episodes(
        np.stack(observations, axis=1),
        np.stack(actions, axis=1),
        np.stack(rewards, axis=1),
        lengths,
        terminated,
    )
