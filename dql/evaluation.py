"""Roll out the policies of a block: all episodes of all runs step together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from dql.agents.agent import Agent
from dql.environments import BatchEnvironment
from dql.noise import BLOCK_STEPS, NoiseStreams

SEED_OFFSET = 100
"""The official protocol seeds evaluation with the run's seed + 100, every time."""

EPISODE_STRIDE = 10_000
"""Distance of the environment seeds of two runs: more than anyone's episodes."""


EPISODES_PER_CALL = 250
"""Episodes of a run that the policy decides for at once, which bounds the memory."""


@dataclass(frozen=True)
class Evaluation:
    """The episodes of one run at one evaluation."""

    episode_returns: np.ndarray  # (E,), undiscounted
    episode_lengths: np.ndarray  # (E,)
    first_actions: np.ndarray  # (E, A): the whole episode, where it has one step
    first_rewards: np.ndarray  # (E,)


def episode_seeds(seed: int, num_episodes: int) -> list[int]:
    """Return the environment seeds of a run's episodes, equal at every evaluation."""
    start = (seed + SEED_OFFSET) * EPISODE_STRIDE
    return list(range(start, start + num_episodes))


def evaluate(
    agent: Agent,
    environments: Sequence[BatchEnvironment],
    gradient_step: int,
    excluded: Sequence[int] = (),
    num_threads: int = 1,
) -> list[Evaluation]:
    """Run every episode of every run to its end and keep its return.

    `environments[r]` holds the E episodes of run r; `excluded` runs do not play. The
    noise comes from a stream of its own, so evaluating leaves training as it was.
    Threads share the policy's episodes, and the physics of different runs: both leave
    Python's lock while they work.
    """
    if num_threads == 1:
        return _evaluate(agent, environments, gradient_step, excluded, map, 1)
    with ThreadPoolExecutor(num_threads) as pool:
        return _evaluate(
            agent, environments, gradient_step, excluded, pool.map, num_threads
        )


def _evaluate(
    agent: Agent,
    environments: Sequence[BatchEnvironment],
    gradient_step: int,
    excluded: Sequence[int],
    share: Callable[..., Iterable],
    num_shares: int,
) -> list[Evaluation]:
    """Evaluate; `share` maps a function over its arguments, in any order in time."""
    seeds = agent.spec.seeds
    num_runs, num_episodes = len(seeds), environments[0].num_environments
    horizon = environments[0].horizon
    streams = NoiseStreams(
        seeds,
        agent.evaluation_draws(num_episodes),
        "evaluation",
        gradient_step,
        device=agent.spec.device,
        block_steps=min(BLOCK_STEPS, horizon),
    )
    observations = np.stack(
        [
            environment.reset(episode_seeds(seed, num_episodes))
            for environment, seed in zip(environments, seeds, strict=True)
        ]
    )
    active = np.ones((num_runs, num_episodes), dtype=bool)
    active[list(excluded)] = False
    returns = np.zeros((num_runs, num_episodes))
    lengths = np.zeros((num_runs, num_episodes), dtype=int)
    first: tuple[np.ndarray, np.ndarray] | None = None
    for time in range(horizon):
        actions = _act(agent, observations, streams.at(time), active, share, num_shares)
        lengths += active
        rewards = np.zeros_like(returns)
        stepped = share(
            lambda environment, *inputs: environment.step(*inputs),
            environments,
            actions,
            active,
        )
        for run, (observation, reward, terminated, truncated) in enumerate(stepped):
            observations[run], rewards[run] = observation, reward
            active[run] &= ~(terminated | truncated)
        returns += rewards
        if first is None:
            first = actions.copy(), rewards
        if not active.any():
            break
    return [
        Evaluation(*values) for values in zip(returns, lengths, *first, strict=True)
    ]


def _act(
    agent: Agent,
    observations: np.ndarray,
    noise: dict[str, torch.Tensor],
    active: np.ndarray,
    share: Callable[..., Iterable],
    num_shares: int,
) -> np.ndarray:
    """Ask the policy about the episodes that some run still plays, (R, E, A)."""
    device = agent.spec.device
    actions = np.zeros((*observations.shape[:2], agent.spec.action_dim))
    playing = np.flatnonzero(active.any(axis=0))
    size = max(1, min(EPISODES_PER_CALL, math.ceil(len(playing) / num_shares)))

    def act(start: int) -> None:
        chosen = playing[start : start + size]
        index = torch.from_numpy(chosen).to(device)
        inputs = torch.from_numpy(observations[:, chosen]).float().to(device)
        draws = {name: values.index_select(1, index) for name, values in noise.items()}
        actions[:, chosen] = agent.sample_actions(inputs, draws).cpu().numpy()

    list(share(act, range(0, len(playing), size)))
    return actions
