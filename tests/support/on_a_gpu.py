"""What the tests that need a GPU share."""

from collections import Counter

import core
import pytest
import torch

from dql.agents.registry import SETTINGS
from dql.core.noise import Draw, NoiseStreams
from dql.training.gradient_steps import EagerSteps, RecordedSteps
from dql.training.process import set_precision

DEVICE = "cuda"
needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
NUM_STEPS = 45
"""Enough for every phase to be recorded and repeated: the EMA's comes every 5 steps."""
PREPARATION = {name for one in SETTINGS.values() for name in one.PREPARATION}
LONGER = dict.fromkeys({*PREPARATION, "num_binning_steps"}, 8)
"""They last longer than the calls before a recording, and its first repetitions."""


def make_agent(name, device=DEVICE):
    """Build an agent on the GPU whose every phase lasts, its learning rate falling."""
    set_precision("float32", torch.device(DEVICE))
    extra = {key: value for key, value in LONGER.items() if key in core.SMALL[name]}
    settings = [{"learning_rate_decay_steps": 60, **extra}] * 2
    return core.make_agent(name, settings=settings, device=device)


def repeated_phases(agent):
    """Return how often each phase comes, but for any that is of one step alone."""
    counts = Counter(agent.phase(step) for step in range(NUM_STEPS))
    return {phase: count for phase, count in counts.items() if count > 1}


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
