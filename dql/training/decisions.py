"""The policies of a block, asked about all episodes of all runs in one call."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dql.agents.agent import Agent, Memory, Noise
from dql.training.recording import RecordedCalls, place_inputs

EPISODES_PER_CALL = 250
"""Episodes of a run that the policy decides for at once, which bounds the memory."""


Decide = Callable[..., tuple[Tensor, Memory]]


class RecordedDecisions:
    """Decides on a GPU; a call is recorded once for each number of episodes.

    `decide` is the agent's `act` unless another function like it is given.
    The agent's weights may change in place between two decisions.
    """

    def __init__(
        self,
        agent: Agent,
        calls: RecordedCalls | None = None,
        decide: Decide | None = None,
    ) -> None:
        self.agent = agent
        self.decide = decide or agent.act
        self.calls = calls or RecordedCalls("a decision")
        self.inputs: dict[int, _Inputs] = {}

    def make(
        self,
        observations: np.ndarray,
        rewards: np.ndarray,
        memory: Memory,
        noise: Noise,
    ) -> np.ndarray:
        """Return actions (R, E, A) and update the memory in place.

        Given are observations (R, E, O), rewards (R, E), memory and noise (R, E, ...).
        """
        num_episodes = observations.shape[1]
        num_calls = math.ceil(num_episodes / EPISODES_PER_CALL)
        size = math.ceil(num_episodes / num_calls)
        parts = [
            self._decide(
                observations[:, start : start + size],
                rewards[:, start : start + size],
                _part(memory, start, size),
                _part(noise, start, size),
            )
            for start in range(0, num_episodes, size)
        ]
        return np.concatenate(parts, axis=1)

    def _decide(
        self,
        observations: np.ndarray,
        rewards: np.ndarray,
        memory: Memory,
        noise: Noise,
    ) -> np.ndarray:
        num_episodes = observations.shape[1]
        places = self.inputs.setdefault(num_episodes, _Inputs({}, {}, {}))
        seen = {"observations": observations, "rewards": rewards}
        seen = {name: torch.from_numpy(x).float() for name, x in seen.items()}
        for place, values in zip(places, (seen, memory, noise), strict=True):
            place_inputs(place, values, self.agent.spec.device)
        found = self.calls.take(num_episodes, partial(self._act, places))
        for name, values in memory.items():
            values.copy_(found[f"memory.{name}"])
        return found["actions"].cpu().numpy()

    def _act(self, inputs: _Inputs) -> dict[str, Tensor]:
        actions, memory = self.decide(
            **inputs.seen, memory=inputs.memory, noise=inputs.noise
        )
        return {"actions": actions} | {f"memory.{n}": x for n, x in memory.items()}


class _Inputs(NamedTuple):
    """Where a call reads what it is given, by name."""

    seen: dict[str, Tensor]
    memory: Memory
    noise: Noise


def _part(values: dict[str, Tensor], start: int, size: int) -> dict[str, Tensor]:
    """Return the episodes from `start` on, in place."""
    return {name: value[:, start : start + size] for name, value in values.items()}
