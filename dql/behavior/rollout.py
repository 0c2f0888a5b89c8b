"""Episodes of policies, many at once, with disturbances of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dql.environments.batch import BatchEnvironment


class Policy(Protocol):
    """What acts on many observations at once."""

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), in [-1, 1]."""
        ...


@dataclass(frozen=True)
class RandomActions:
    """A policy that draws every action uniformly from [-1, 1]."""

    action_dim: int

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), whatever it is."""
        return generator.uniform(-1.0, 1.0, (len(observations), self.action_dim))


@dataclass(frozen=True)
class Episodes:
    """A batch of episodes of the given `lengths`, (E,), padded to the longest, T."""

    observations: np.ndarray
    """(E, T + 1, O): entry `lengths` is the final observation."""
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted episode returns, (E,)."""
        return self.rewards.sum(axis=1)


@dataclass(frozen=True)
class Disturbance:
    """What each of E episodes does to its actions: noise, and steps at random."""

    noise_stds: np.ndarray
    random_shares: np.ndarray

    @classmethod
    def none(cls, num_episodes: int) -> Disturbance:
        """Return the one that leaves every action as it is."""
        return cls(np.zeros(num_episodes), np.zeros(num_episodes))

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
    """Run one episode of a policy per environment; only those that run ask it."""
    seeds = generator.integers(2**31, size=environment.num_environments)

    def act(observations: np.ndarray, rows: np.ndarray, _: int) -> np.ndarray:
        chosen = policy.actions(observations, generator)
        return disturbance.apply(chosen, rows, generator)

    return play(environment, [int(seed) for seed in seeds], act)


def play(
    environment: BatchEnvironment,
    seeds: Sequence[int],
    act: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    limits: np.ndarray | None = None,
) -> Episodes:
    """Run one episode per environment, all in step; rewards past an end are zero.

    `act` gets the observations (B, O) of the episodes that still run, their places (B,)
    and how many steps were taken, and returns actions (B, A). `limits` (E,) are lengths
    at which episodes stop. Observations and actions are kept in float32, as datasets
    keep them, which halves the memory; `act` sees the simulator's.
    """
    num_episodes, horizon = environment.num_environments, environment.horizon
    observation = environment.reset(seeds)
    # Whole arrays from the start: lists of small ones leave the memory in pieces.
    shape = num_episodes, horizon + 1, observation.shape[1]
    observations = np.zeros(shape, dtype=np.float32)
    observations[:, 0] = observation
    shape = num_episodes, horizon, environment.action_dim
    actions = np.zeros(shape, dtype=np.float32)
    rewards = np.zeros((num_episodes, horizon))
    active = np.ones(num_episodes, dtype=bool)
    lengths = np.zeros(num_episodes, dtype=np.int64)
    terminated = np.zeros(num_episodes, dtype=bool)
    time = 0
    while active.any():
        rows = np.flatnonzero(active)
        actions[rows, time] = act(observation[rows], rows, time)
        outcome = environment.step(actions[:, time], active)
        observation, rewards[:, time], terminations, truncations = outcome
        time += 1
        observations[:, time] = observation
        lengths += active
        terminated |= terminations
        active &= ~(terminations | truncations)
        if limits is not None:
            active &= time < limits
    return Episodes(
        observations[:, : time + 1],
        actions[:, :time],
        rewards[:, :time],
        lengths,
        terminated,
    )
