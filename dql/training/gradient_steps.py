"""One gradient step of a block: operation by operation, or replayed as a CUDA graph.

A step reads its noise from buffers that stay in place, and an agent's `phase` names the
branch a step takes: each phase has its own graph.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from dql.agents.agent import Agent, Metrics, Noise
from dql.core.batch import RowStore
from dql.core.noise import Draw, NoiseStreams
from dql.training.recording import RecordedCalls, place_inputs


class EagerSteps:
    """Takes steps operation by operation."""

    def __init__(self, agent: Agent, store: RowStore) -> None:
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

    def __init__(
        self, agent: Agent, store: RowStore, calls: RecordedCalls | None = None
    ) -> None:
        super().__init__(agent, store)
        self.calls = calls or RecordedCalls("a gradient step")
        self.inputs: dict[str, Tensor] = {}

    def take(self, step: int, noise: Noise) -> Metrics:
        """Take a step; without a recording of its phase, one by one."""
        place_inputs(self.inputs, noise, self.agent.spec.device)
        self.agent.schedule_learning_rates(step)
        phase = self.agent.phase(step)
        return self.calls.take(phase, partial(self.update, self.inputs, phase))


def make_steps(agent: Agent, store: RowStore) -> EagerSteps:
    """Return recorded steps on a GPU, eager ones elsewhere."""
    on_gpu = agent.spec.device.type == "cuda"
    return (RecordedSteps if on_gpu else EagerSteps)(agent, store)


def training_streams(
    agent: Agent,
    store: RowStore,
    batch_size: int,
    rows: dict[str, Draw] | None = None,
) -> NoiseStreams:
    """Return the noise of the agent's training, the batches' row numbers included.

    `rows` are their draws, None: recorded rows, each as often as another.
    """
    draws = rows or {"row": Draw((batch_size,), "integer", store.run_sizes)}
    draws = draws | agent.training_draws(batch_size)
    return NoiseStreams(agent.spec.seeds, draws, "training", device=agent.spec.device)
