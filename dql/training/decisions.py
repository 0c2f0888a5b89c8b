"""The policies of a block, asked about all episodes of all runs in one call."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dql.agents.agent import Agent, Noise
from dql.training.recording import RecordedCalls, place_inputs

EPISODES_PER_CALL = 250
"""Episodes of a run that the policy decides for at once, which bounds the memory."""


Decide = Callable[[Tensor, Noise], Tensor]


class RecordedDecisions:
    """Decides on a GPU; a call is recorded once for each number of episodes.

    `decide` is the agent's `sample_actions` unless another of its methods is given.
    The agent's weights may change in place between two decisions.
    """

    def __init__(
        self,
        agent: Agent,
        calls: RecordedCalls | None = None,
        decide: Decide | None = None,
    ) -> None:
        self.agent = agent
        self.decide = decide or agent.sample_actions
        self.calls = calls or RecordedCalls("a decision")
        self.inputs: dict[int, dict[str, Tensor]] = {}

    def make(self, observations: np.ndarray, noise: dict[str, Tensor]) -> np.ndarray:
        """Return actions (R, E, A) for observations (R, E, O) and noise (R, E, ...)."""
        num_episodes = observations.shape[1]
        num_calls = math.ceil(num_episodes / EPISODES_PER_CALL)
        size = math.ceil(num_episodes / num_calls)
        parts = [
            self._decide(
                observations[:, start : start + size],
                {n: values[:, start : start + size] for n, values in noise.items()},
            )
            for start in range(0, num_episodes, size)
        ]
        return np.concatenate(parts, axis=1)

    def _decide(self, observations: np.ndarray, noise: dict[str, Tensor]) -> np.ndarray:
        num_episodes = observations.shape[1]
        inputs = self.inputs.setdefault(num_episodes, {})
        states = torch.from_numpy(np.asarray(observations, dtype=np.float32))
        place_inputs(inputs, {"state": states, **noise}, self.agent.spec.device)
        found = self.calls.take(num_episodes, partial(self._sample, inputs))
        return found["actions"].cpu().numpy()

    def _sample(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        noise = {name: value for name, value in inputs.items() if name != "state"}
        return {"actions": self.decide(inputs["state"], noise)}
