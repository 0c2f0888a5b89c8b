"""One gradient step of a block: operation by operation, or replayed as a CUDA graph.

The networks are so small that a GPU waits for Python between operations. A graph
records one step's operations once and launches them all at once afterwards. A step
reads its noise from buffers that stay in place, and an agent's `phase` names the branch
a step takes: each phase has its own graph.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from dql.agents.agent import Agent, Metrics, Noise
from dql.core.batch import TransitionStore
from dql.core.noise import Draw, NoiseStreams

logger = logging.getLogger(__name__)

WARM_UP_STEPS = 3
"""Steps of a phase taken before its graph: libraries set themselves up in them."""

Recording = tuple[Callable[[], None], Metrics]
"""What repeats a recorded step, and the metrics it writes each time, in place."""


class EagerSteps:
    """Takes steps operation by operation."""

    def __init__(self, agent: Agent, store: TransitionStore) -> None:
        self.agent, self.store = agent, store

    def take(self, step: int, noise: Noise) -> Metrics:
        """Take step `step`, counted from 0, on its noise (R, ...)."""
        self.agent.schedule_learning_rates(step)
        return self.update(noise, self.agent.phase(step))

    def update(self, noise: Noise, phase: str) -> Metrics:
        """Gather the batch and update the agent on it."""
        return self.agent.update(self.store.gather(noise["row"]), noise, phase)


class RecordedSteps(EagerSteps):
    """Records a step of each phase once and repeats it; metrics hold until the next."""

    def __init__(self, agent: Agent, store: TransitionStore) -> None:
        super().__init__(agent, store)
        self.inputs: dict[str, Tensor] = {}
        self.recordings: dict[str, Recording] = {}
        self.num_taken: Counter[str] = Counter()
        self.is_possible = True

    def take(self, step: int, noise: Noise) -> Metrics:
        """Take a step; without a recording of its phase, one by one."""
        if not self.inputs:
            self.inputs = {name: value.clone() for name, value in noise.items()}
        for name, value in noise.items():
            self.inputs[name].copy_(value)
        self.agent.schedule_learning_rates(step)
        phase = self.agent.phase(step)
        self.num_taken[phase] += 1
        if not self.is_possible:
            return self.update(self.inputs, phase)
        if self.num_taken[phase] <= WARM_UP_STEPS:
            return self.warm_up(phase)
        if phase not in self.recordings:
            try:
                self.recordings[phase] = self.record(phase)
            except RuntimeError as error:
                self.is_possible = False
                logger.warning(
                    "no CUDA graph of this step, going on without: %s", error
                )
                return self.update(self.inputs, phase)
        replay, metrics = self.recordings[phase]
        replay()
        return metrics

    def warm_up(self, phase: str) -> Metrics:
        """Take a step away from the main stream, as recording will."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            metrics = self.update(self.inputs, phase)
        torch.cuda.current_stream().wait_stream(side)
        return metrics

    def record(self, phase: str) -> Recording:
        """Record one step without taking it."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            metrics = self.update(self.inputs, phase)
        return graph.replay, metrics


def make_steps(agent: Agent, store: TransitionStore) -> EagerSteps:
    """Return recorded steps on a GPU, eager ones elsewhere."""
    on_gpu = agent.spec.device.type == "cuda"
    return (RecordedSteps if on_gpu else EagerSteps)(agent, store)


def training_streams(
    agent: Agent, store: TransitionStore, batch_size: int
) -> NoiseStreams:
    """Return the noise of the agent's training, the batches' row numbers included."""
    draws = {"row": Draw((batch_size,), "integer", store.run_sizes)}
    draws |= agent.training_draws(batch_size)
    return NoiseStreams(agent.spec.seeds, draws, "training", device=agent.spec.device)
