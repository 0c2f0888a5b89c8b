"""What the tests that need a GPU share."""

import core
import pytest
import torch

from dql.core.noise import Draw, NoiseStreams
from dql.training.gradient_steps import EagerSteps, RecordedSteps

DEVICE = "cuda"
needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
NUM_STEPS = 45
"""Enough for every phase to be recorded and repeated: the EMA's comes every 5 steps."""
LONGER = {"cloning_steps": 8, "num_pretraining_steps": 8}
"""First phases that last longer than the calls before a recording."""


def make_agent(name):
    """Build an agent on the GPU whose every phase lasts, its learning rate falling."""
    extra = {key: value for key, value in LONGER.items() if key in core.SMALL[name]}
    settings = [{"learning_rate_decay_steps": 60, **extra}] * 2
    return core.make_agent(name, settings=settings, device=DEVICE)


def take_steps(name, calls=None, num_steps=NUM_STEPS):
    """Take steps, eager ones without `calls`; return state, metrics of each, agent."""
    agent, store = make_agent(name)
    draws = agent.training_draws(16)
    draws["row"] = Draw((16,), "integer", store.run_sizes)
    streams = NoiseStreams(agent.spec.seeds, draws, "training", device=DEVICE)
    steps = RecordedSteps(agent, store, calls) if calls else EagerSteps(agent, store)
    metrics = []
    for step in range(num_steps):
        found = steps.take(step, streams.at(step))
        metrics.append({name: value.clone() for name, value in found.items()})
    return agent.state(), metrics, agent
