"""Augmented random search for linear policies (ARS-V2t, Mania et al. 2018).

The search perturbs a linear policy, rolls each perturbation out in both directions and
steps along those that mattered most; observations are normalised by running statistics.
Rollouts carry action noise, so that what is found keeps its return under noise. A
search is a plain value that `advance` moves on, so several can share processes and
still give the same policies however many there are.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import numpy as np

from dql.behavior.linear import LinearPolicies, roll_out
from dql.environments.batch import BatchEnvironment
from dql.environments.locomotion import LocomotionEnvironment

SMALLEST_STD = 1e-4
"""Below it an observation counts as constant and is not scaled up."""


@dataclass(frozen=True)
class SearchSettings:
    """The search in one environment: its step, its noise and how many are run."""

    num_directions: int
    num_top_directions: int
    step_size: float
    perturbation_std: float
    survival_bonus: float
    """Reward per timestep left out of the search, so that falling late is no aim."""
    action_noise_std: float = 0.1
    num_candidates: int = 10
    num_warmup_iterations: int = 20
    num_searches: int = 3
    """Candidates start, each for the warm-up; this many of the best go on."""
    target_return: float = np.inf
    """A search stops early once its policy reaches this mean return."""


SEARCH_SETTINGS = {
    "hopper": SearchSettings(
        num_directions=8,
        num_top_directions=4,
        step_size=0.02,
        perturbation_std=0.025,
        survival_bonus=1.0,
        target_return=3000.0,
    ),
    "walker2d": SearchSettings(
        num_directions=40,
        num_top_directions=30,
        step_size=0.02,
        perturbation_std=0.0125,
        survival_bonus=1.0,
    ),
    "halfcheetah": SearchSettings(
        num_directions=32,
        num_top_directions=4,
        step_size=0.02,
        perturbation_std=0.03,
        survival_bonus=0.0,
        num_candidates=3,
        num_warmup_iterations=5,
    ),
}


@dataclass(frozen=True)
class Search:
    """A search between two iterations, with every iterate it went through."""

    seed: int
    weights: np.ndarray
    generator: np.random.Generator
    observation_count: int = 0
    observation_sum: np.ndarray = field(default_factory=lambda: np.zeros(1))
    observation_square_sum: np.ndarray = field(default_factory=lambda: np.zeros(1))
    iterates: tuple[LinearPolicies, ...] = ()
    """The policy each iteration started from."""
    mean_returns: tuple[float, ...] = ()
    """Mean return of each iteration's perturbed policies."""
    num_steps: int = 0

    @property
    def num_iterations(self) -> int:
        """Iterations taken so far."""
        return len(self.iterates)


def start_search(seed: int, observation_dim: int, action_dim: int) -> Search:
    """Start from the zero policy."""
    weights = np.zeros((action_dim, observation_dim))
    return Search(seed, weights, np.random.default_rng(seed))


def current_policy(search: Search, noise_std: float) -> LinearPolicies:
    """Return the search's policy with the normalisation it has seen so far."""
    action_dim, observation_dim = search.weights.shape
    means, stds = np.zeros(observation_dim), np.ones(observation_dim)
    if search.observation_count:
        means = search.observation_sum / search.observation_count
        squares = search.observation_square_sum / search.observation_count
        stds = np.sqrt(np.maximum(squares - means**2, 0.0))
        stds = np.where(stds < SMALLEST_STD, 1.0, stds)
    return LinearPolicies(
        search.weights[None], means[None], stds[None], np.array([noise_std])
    )


def perturbed(
    policy: LinearPolicies, perturbation_std: float, directions: np.ndarray
) -> LinearPolicies:
    """Return the policy moved along each direction (N, A, O), then against each."""
    offsets = perturbation_std * np.concatenate((directions, -directions))
    many = policy.select([0] * len(offsets))
    return replace(many, weights=many.weights + offsets)


def advance(
    search: Search,
    settings: SearchSettings,
    environment: str,
    physics: str,
    num_iterations: int,
) -> Search:
    """Return the search after further iterations; the given one stays as it was."""
    search = replace(search, generator=copy.deepcopy(search.generator))
    batch = LocomotionEnvironment(
        environment, 2 * settings.num_directions, physics=physics
    )
    for _ in range(num_iterations):
        search = _iterate(search, settings, batch)
    return search


def _iterate(
    search: Search, settings: SearchSettings, environment: BatchEnvironment
) -> Search:
    """Take one step of augmented random search."""
    generator, num_directions = search.generator, settings.num_directions
    policy = current_policy(search, settings.action_noise_std)
    directions = generator.standard_normal((num_directions, *search.weights.shape))
    # Both ways start alike, so that their difference is the direction's doing.
    seeds = np.tile(generator.integers(2**31, size=num_directions), 2)
    episodes = roll_out(
        environment,
        perturbed(policy, settings.perturbation_std, directions),
        seeds,
        generator,
    )
    scores = episodes.returns - settings.survival_bonus * episodes.lengths
    ahead, back = scores[:num_directions], scores[num_directions:]
    top = np.argsort(-np.maximum(ahead, back), kind="stable")
    top = top[: settings.num_top_directions]
    spread = np.concatenate((ahead[top], back[top])).std() + 1e-8
    ascent = np.tensordot(ahead[top] - back[top], directions[top], axes=1)
    step_size = settings.step_size / (settings.num_top_directions * spread)
    acted_on = np.arange(episodes.actions.shape[1]) < episodes.lengths[:, None]
    observations = episodes.observations[:, :-1][acted_on]
    return replace(
        search,
        weights=search.weights + step_size * ascent,
        observation_count=search.observation_count + len(observations),
        observation_sum=search.observation_sum + observations.sum(axis=0),
        observation_square_sum=search.observation_square_sum
        + np.square(observations).sum(axis=0),
        iterates=(*search.iterates, policy),
        mean_returns=(*search.mean_returns, float(episodes.returns.mean())),
        num_steps=search.num_steps + int(episodes.lengths.sum()),
    )
