"""Linear Gaussian policies, many at once, and their episodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dql.environments.batch import BatchEnvironment


@dataclass(frozen=True)
class LinearPolicies:
    """One policy per row: weights (P, A, O), normalisation (P, O), noise (P,)."""

    weights: np.ndarray
    observation_means: np.ndarray
    observation_stds: np.ndarray
    noise_stds: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, rows: np.ndarray | list[int]) -> LinearPolicies:
        """Return the policies of the given rows, repeated where a row repeats."""
        return LinearPolicies(
            self.weights[rows],
            self.observation_means[rows],
            self.observation_stds[rows],
            self.noise_stds[rows],
        )

    def with_noise(self, noise_std: float) -> LinearPolicies:
        """Return the same policies with another action noise."""
        return replace(self, noise_stds=np.full(len(self), noise_std))

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Act on one observation per policy, (P, O) to (P, A), clipped to [-1, 1]."""
        normalised = (observations - self.observation_means) / self.observation_stds
        # A sum over each row, unlike a matrix product, does not depend on the batch.
        actions = (self.weights * normalised[:, None, :]).sum(axis=-1)
        noise = generator.standard_normal(actions.shape)
        return np.clip(actions + self.noise_stds[:, None] * noise, -1.0, 1.0)


def stack_policies(policies: list[LinearPolicies]) -> LinearPolicies:
    """Return all policies of a list in one."""
    return LinearPolicies(
        np.concatenate([policy.weights for policy in policies]),
        np.concatenate([policy.observation_means for policy in policies]),
        np.concatenate([policy.observation_stds for policy in policies]),
        np.concatenate([policy.noise_stds for policy in policies]),
    )


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


def roll_out(
    environment: BatchEnvironment,
    policies: LinearPolicies,
    seeds: np.ndarray | list[int],
    generator: np.random.Generator,
) -> Episodes:
    """Run one episode per policy, all in step; rewards past an end are zero.

    Actions are rounded to float32, the precision datasets keep them in.
    """
    observations = [environment.reset([int(seed) for seed in seeds])]
    actions, rewards = [], []
    active = np.ones(len(policies), dtype=bool)
    lengths = np.zeros(len(policies), dtype=np.int64)
    terminated = np.zeros(len(policies), dtype=bool)
    while active.any():
        action = policies.actions(observations[-1], generator).astype(np.float32)
        outcome = environment.step(action, active)
        observation, reward, terminations, truncations = outcome
        observations.append(observation)
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
