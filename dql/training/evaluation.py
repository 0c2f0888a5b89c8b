"""Roll out the policies of a block: episodes of all runs step together.

On a processor threads share the episodes, each with its own calls of the policy. On a
GPU one call decides for all of them, which costs the GPU as much as one for a few, and
threads share the physics: run by run and, where an environment allows it, within a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock

import numpy as np
import torch

from dql.agents.agent import Agent
from dql.core.noise import BLOCK_STEPS, NoiseStreams
from dql.environments.batch import BatchEnvironment
from dql.training.decisions import EPISODES_PER_CALL, RecordedDecisions

SEED_OFFSET = 100
"""The official protocol seeds evaluation with the run's seed + 100, every time."""

EPISODE_STRIDE = 10_000
"""Distance of the environment seeds of two runs: more than anyone's episodes."""

Share = Callable[[Callable, Iterable], Iterable]
"""Calls a function on each of some values, as `map` does, or in several threads."""


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
    *,
    decisions: RecordedDecisions | None = None,
    cancelled: Event | None = None,
) -> list[Evaluation]:
    """Run every episode of every run to its end and keep its return.

    `environments[r]` holds the E episodes of run r; `excluded` runs do not play. The
    noise comes from a stream of its own, so evaluating leaves training as it was.
    Threads share the episodes or, where `decisions` are made for all at once, the
    runs' physics: policy and physics leave Python's lock while they work. Once
    `cancelled`, it ends soon with episodes cut short.
    """
    play = _Play(agent, environments, excluded)
    horizon = environments[0].horizon
    streams = NoiseStreams(
        agent.spec.seeds,
        agent.evaluation_draws(environments[0].num_environments),
        "evaluation",
        gradient_step,
        device=agent.spec.device,
        block_steps=min(BLOCK_STEPS, horizon),
    )
    with ThreadPoolExecutor(num_threads) as pool:
        share = pool.map if num_threads > 1 else map
        for start in range(0, horizon, streams.block_steps):
            playing = np.flatnonzero(play.active.any(axis=0))
            if len(playing) == 0 or (cancelled and cancelled.is_set()):
                break
            noise = streams.block(start // streams.block_steps)
            times = range(start, min(start + streams.block_steps, horizon))
            if decisions:
                play.advance_together(noise, times, decisions, share, num_threads)
                continue
            # Those still playing are dealt out anew: a thread would run out of them.
            groups = max(num_threads, math.ceil(len(playing) / EPISODES_PER_CALL))
            advance = partial(play.advance, noise, times)
            list(share(advance, np.array_split(playing, min(groups, len(playing)))))
    return play.evaluations()


class _Play:
    """The episodes of all runs: R runs of E each."""

    def __init__(
        self,
        agent: Agent,
        environments: Sequence[BatchEnvironment],
        excluded: Sequence[int],
    ) -> None:
        self.agent, self.environments = agent, environments
        # Threads take turns in an environment that is one simulator for all episodes.
        self.locks = [nullcontext() if e.is_shareable else Lock() for e in environments]
        shape = len(environments), environments[0].num_environments
        self.observations = np.stack(
            [
                environment.reset(episode_seeds(seed, shape[1]))
                for environment, seed in zip(
                    environments, agent.spec.seeds, strict=True
                )
            ]
        )
        self.active = np.ones(shape, dtype=bool)
        self.active[list(excluded)] = False
        self.returns, self.first_rewards = np.zeros(shape), np.zeros(shape)
        self.lengths = np.zeros(shape, dtype=int)
        self.rewards = np.zeros(shape)  # of every episode's last step
        self.memory = agent.new_memory(shape[1])
        self.first_actions = np.zeros((*shape, agent.spec.action_dim))

    def advance(
        self, noise: dict[str, torch.Tensor], times: range, group: np.ndarray
    ) -> None:
        """Play the episodes of a group, the same of every run, for a block of steps."""
        for offset, time in enumerate(times):
            playing = group[self.active[:, group].any(axis=0)]
            if len(playing) == 0:
                return
            actions = self.decide(playing, noise, offset)
            self.act(time, playing, actions, map)

    def advance_together(
        self,
        noise: dict[str, torch.Tensor],
        times: range,
        decisions: RecordedDecisions,
        share: Share,
        num_threads: int,
    ) -> None:
        """Play all episodes for a block of steps: a decision, then everyone's physics.

        Those that have ended are decided for as well: a recorded call's size is fixed.
        """
        every = np.arange(self.active.shape[1])
        for offset, time in enumerate(times):
            if not self.active.any():
                return
            draws = {name: values[offset] for name, values in noise.items()}
            now = self.observations, self.rewards
            actions = decisions.make(*now, self.memory, draws)
            self.act(time, every, actions, share, num_threads)

    def act(
        self,
        time: int,
        playing: np.ndarray,
        actions: np.ndarray,
        share: Share,
        num_threads: int = 1,
    ) -> None:
        """Step the active ones of some episodes of every run, shared between threads.

        `actions` are those of all episodes, (R, E, A).
        """
        if time == 0:
            self.first_actions[:, playing] = actions[:, playing]
        parts = self.parts(playing, num_threads)
        list(share(lambda part: self.step(*part, actions[part[0]]), parts))
        if time == 0:
            self.first_rewards[:, playing] = self.returns[:, playing]

    def parts(
        self, playing: np.ndarray, num_threads: int
    ) -> list[tuple[int, np.ndarray]]:
        """Deal the active ones of some episodes out to threads: a run, some of its own.

        Runs are split where there are more threads and the environment allows it.
        """
        runs = np.flatnonzero(self.active[:, playing].any(axis=1))
        count = math.ceil(num_threads / max(len(runs), 1))
        found = []
        for run in runs:
            own = playing[self.active[run, playing]]
            is_whole = count == 1 or not self.environments[run].is_shareable
            parts = [own] if is_whole else np.array_split(own, min(count, len(own)))
            found += [(run, part) for part in parts]
        return found

    def decide(
        self, playing: np.ndarray, noise: dict[str, torch.Tensor], offset: int
    ) -> np.ndarray:
        """Ask the policy about some episodes; return actions (R, E, A), 0 elsewhere."""
        device = self.agent.spec.device
        index = torch.from_numpy(playing).to(device)
        observations, rewards = (
            torch.from_numpy(values[:, playing]).float().to(device)
            for values in (self.observations, self.rewards)
        )
        draws = {
            n: values[offset].index_select(1, index) for n, values in noise.items()
        }
        memory = {n: values.index_select(1, index) for n, values in self.memory.items()}
        decided, memory = self.agent.act(observations, rewards, memory, draws)
        for name, values in memory.items():
            self.memory[name].index_copy_(1, index, values)
        actions = np.zeros_like(self.first_actions)
        actions[:, playing] = decided.cpu().numpy()
        return actions

    def step(self, run: int, chosen: np.ndarray, actions: np.ndarray) -> None:
        """Step some active episodes of a run; threads may step others of it."""
        mask = np.zeros(self.active.shape[1], dtype=bool)
        mask[chosen] = True
        with self.locks[run]:
            outcome = self.environments[run].step(actions, mask)
        observations, rewards, terminated, truncated = outcome
        self.observations[run, chosen] = observations[chosen]
        self.returns[run, chosen] += rewards[chosen]
        self.rewards[run, chosen] = rewards[chosen]
        self.lengths[run, chosen] += 1
        self.active[run, chosen] = ~(terminated | truncated)[chosen]

    def evaluations(self) -> list[Evaluation]:
        """Return what every run has played."""
        values = self.returns, self.lengths, self.first_actions, self.first_rewards
        return [Evaluation(*of_run) for of_run in zip(*values, strict=True)]
