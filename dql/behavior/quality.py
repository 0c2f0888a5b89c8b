"""Which iterates of the searches are experts, which are medium, and their noise."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from dql.behavior.linear import LinearPolicies, roll_out
from dql.behavior.search import Search, SearchSettings, current_policy
from dql.environments.locomotion import LocomotionEnvironment

MEDIUM_SHARE = 1 / 3
"""A medium policy reaches this share of the best return."""
EXPERT_SHARE = 0.8
"""A search whose best stays below this share of the best return gives no expert."""
LIKELY_SHARE = 0.7
"""Perturbed policies that return this share of a threshold make a look worth it."""
KEPT_SHARE = 0.9
"""Calibrated action noise leaves a policy at least this share of its return."""
NOISE_STDS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.0)
NUM_EXPERT_CANDIDATES = 5
NUM_SELECTION_EPISODES = 10
NUM_REPORTED_EPISODES = 20
NUM_RANDOM_EPISODES = 100


class Candidate(NamedTuple):
    """A policy, where it was found, and its return while it was being chosen."""

    policy: LinearPolicies
    search: Search
    iteration: int
    mean_return: float


class Evaluator:
    """Returns of single policies; each purpose has its own episodes and noise."""

    def __init__(self, environment: str, physics: str, seed: int) -> None:
        self.seed = seed
        self.make = partial(LocomotionEnvironment, environment, physics=physics)
        self.num_steps = 0

    def returns(
        self, policy: LinearPolicies, purpose: str, num_episodes: int
    ) -> np.ndarray:
        """Return the policy's returns over fresh episodes, (num_episodes,)."""
        generator = np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])
        seeds = generator.integers(2**31, size=num_episodes)
        policies = policy.select([0] * num_episodes)
        episodes = roll_out(self.make(num_episodes), policies, seeds, generator)
        self.num_steps += int(episodes.lengths.sum())
        return episodes.returns

    def mean(self, policy: LinearPolicies, purpose: str) -> float:
        """Return the mean over the episodes used to choose among policies."""
        return float(self.returns(policy, purpose, NUM_SELECTION_EPISODES).mean())

    def random_return(self) -> float:
        """Return the mean return of uniformly random actions."""
        environment = self.make(NUM_RANDOM_EPISODES)
        generator = np.random.default_rng([self.seed, zlib.crc32(b"random actions")])
        seeds = generator.integers(2**31, size=NUM_RANDOM_EPISODES)
        environment.reset([int(seed) for seed in seeds])
        active = np.ones(NUM_RANDOM_EPISODES, dtype=bool)
        total = 0.0
        while active.any():
            shape = (NUM_RANDOM_EPISODES, environment.action_dim)
            actions = generator.uniform(-1.0, 1.0, shape).astype(np.float32)
            _, rewards, terminations, truncations = environment.step(actions, active)
            total += rewards.sum()
            self.num_steps += int(active.sum())
            active &= ~(terminations | truncations)
        return float(total / NUM_RANDOM_EPISODES)


def choose_policies(
    searches: list[Search], settings: SearchSettings, evaluator: Evaluator
) -> list[tuple[dict[str, Any], LinearPolicies]]:
    """Return the policies of both qualities, described, with calibrated noise."""
    bests = [best_iterate(search, settings, evaluator) for search in searches]
    best_return = max(best.mean_return for best in bests)
    medium = share_of(best_return, MEDIUM_SHARE)
    mediums = [
        first_iterate_above(medium, best.search, evaluator)
        for best in bests
        if best.mean_return >= medium
    ]
    expert = share_of(best_return, EXPERT_SHARE)
    experts = [best for best in bests if best.mean_return >= expert]
    return [
        _described(quality, candidate, evaluator)
        for quality, candidates in (("medium", mediums), ("expert", experts))
        for candidate in candidates
    ]


def share_of(best_return: float, share: float) -> float:
    """Return the share of the best return; where that is negative, no less than it.

    A search too short to learn anything still gives its best policy.
    """
    return share * best_return if best_return > 0 else best_return


def best_iterate(
    search: Search, settings: SearchSettings, evaluator: Evaluator
) -> Candidate:
    """Return the best of the last policy and the most promising iterates."""
    promising = np.argsort([-value for value in search.mean_returns], kind="stable")
    iterations = [int(index) for index in promising[:NUM_EXPERT_CANDIDATES]]
    policies = [search.iterates[index] for index in iterations]
    iterations.append(search.num_iterations)
    policies.append(current_policy(search, settings.action_noise_std))
    candidates = [
        Candidate(
            policy, search, iteration, evaluator.mean(policy, f"expert {search.seed}")
        )
        for policy, iteration in zip(policies, iterations, strict=True)
    ]
    return max(candidates, key=lambda candidate: candidate.mean_return)


def first_iterate_above(
    threshold: float, search: Search, evaluator: Evaluator
) -> Candidate:
    """Return the first iterate of a search whose return reaches the threshold."""
    best: Candidate | None = None
    for iteration, perturbed_return in enumerate(search.mean_returns):
        if perturbed_return < LIKELY_SHARE * threshold:
            continue
        policy = search.iterates[iteration]
        mean_return = evaluator.mean(policy, f"medium {search.seed}")
        if best is None or mean_return > best.mean_return:
            best = Candidate(policy, search, iteration, mean_return)
        if mean_return >= threshold:
            break
    if best is None:
        iteration = int(np.argmax(search.mean_returns))
        policy = search.iterates[iteration]
        mean_return = evaluator.mean(policy, f"medium {search.seed}")
        best = Candidate(policy, search, iteration, mean_return)
    return best


def calibrated(candidate: Candidate, evaluator: Evaluator) -> LinearPolicies:
    """Return the policy with the most action noise that keeps its return."""
    for noise_std in NOISE_STDS:
        policy = candidate.policy.with_noise(noise_std)
        purpose = f"noise {candidate.search.seed}"
        if evaluator.mean(policy, purpose) >= KEPT_SHARE * candidate.mean_return:
            break
    return policy


def _described(
    quality: str, candidate: Candidate, evaluator: Evaluator
) -> tuple[dict[str, Any], LinearPolicies]:
    policy = calibrated(candidate, evaluator)
    purpose = f"{quality} report {candidate.search.seed}"
    returns = evaluator.returns(policy, purpose, NUM_REPORTED_EPISODES)
    quiet = evaluator.returns(policy.with_noise(0.0), purpose, NUM_REPORTED_EPISODES)
    entry = {
        "quality": quality,
        "search_seed": candidate.search.seed,
        "iteration": candidate.iteration,
        "noise_std": float(policy.noise_stds[0]),
        "mean_return": float(returns.mean()),
        "std_return": float(returns.std()),
        "noise_free_return": float(quiet.mean()),
        "num_episodes": NUM_REPORTED_EPISODES,
    }
    return entry, policy
