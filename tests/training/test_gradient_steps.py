"""Recorded steps are the eager ones; a stand-in records where there is no GPU."""

import core
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dql.core import kernels
from dql.core.batch import Batch
from dql.core.noise import Draw, NoiseStreams
from dql.training.gradient_steps import (
    WARM_UP_STEPS,
    EagerSteps,
    RecordedSteps,
    make_steps,
)

NUM_STEPS = 23


class StandIn(RecordedSteps):
    """Repeats a step by taking it again, into the metrics of the first time.

    Like a CUDA graph it reads its inputs from where they lay when it was recorded.
    """

    def warm_up(self, phase):
        return self.update(self.inputs, phase)

    def record(self, phase):
        places = {name: value.data_ptr() for name, value in self.inputs.items()}
        metrics = {}

        def replay():
            for name, value in self.inputs.items():
                assert value.data_ptr() == places[name]
            for name, value in self.update(self.inputs, phase).items():
                metrics.setdefault(name, torch.zeros_like(value)).copy_(value)

        return replay, metrics


class Failing(StandIn):
    def record(self, phase):
        raise RuntimeError("operation not permitted when stream is capturing")


def take_steps(kind, name, device="cpu"):
    settings = [{"learning_rate_decay_steps": 30}] * 2
    agent, store = core.make_agent(name, settings=settings, device=device)
    draws = agent.training_draws(16)
    draws["row"] = Draw((16,), "integer", store.run_sizes)
    streams = NoiseStreams(agent.spec.seeds, draws, "training", device=device)
    steps = kind(agent, store)
    metrics = []
    for step in range(NUM_STEPS):
        found = steps.take(step, streams.at(step))
        metrics.append({name: value.clone() for name, value in found.items()})
    return agent.state(), metrics, steps


@pytest.mark.parametrize("name", ["diffusion_ql", "td3_bc", "bear_mmd", "cql"])
@pytest.mark.parametrize("kind", [StandIn, Failing])
def test_recorded_steps_equal_eager_ones(name, kind, caplog):
    state, metrics, steps = take_steps(kind, name)
    expected, expected_metrics, _ = take_steps(EagerSteps, name)
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    for mine, theirs in zip(metrics, expected_metrics, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    often = {p for p, count in steps.num_taken.items() if count > WARM_UP_STEPS}
    if kind is StandIn:
        assert set(steps.recordings) == often
        assert caplog.text == ""
    else:
        assert steps.recordings == {}
        assert caplog.text.count("no CUDA graph") == 1


def test_the_processor_takes_eager_steps():
    agent, store = core.make_agent("bc_mle")
    assert type(make_steps(agent, store)) is EagerSteps


class Watch(TorchDispatchMode):
    """Lists operations with their numbers, and those that touch the processor."""

    def __init__(self):
        super().__init__()
        self.operations, self.strays = [], set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        if any(tensor.is_cpu for tensor in tensors):
            self.strays.add(str(func))
        numbers = tuple(x for x in leaves if isinstance(x, int | float))
        self.operations.append((str(func), numbers))
        return result


def meta_noise(agent, draws, purpose):
    """Return one step's noise on the meta device."""
    noise = NoiseStreams(agent.spec.seeds, draws, purpose, block_steps=1).at(0)
    return {name: value.to("meta") for name, value in noise.items()}


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_a_step_can_be_recorded(name):
    """The meta device has no data: to wait for a number fails there, as in a graph."""
    settings = [{"learning_rate_decay_steps": 30}] * 2
    agent, store = core.make_agent(name, settings=settings, device="meta")
    draws = agent.training_draws(16)
    draws["row"] = Draw((16,), "integer", store.run_sizes)
    steps, noise = EagerSteps(agent, store), meta_noise(agent, draws, "training")
    for phase in dict.fromkeys(agent.phase(step) for step in range(NUM_STEPS)):
        with Watch() as first:
            steps.update(noise, phase)
        with Watch() as second:
            steps.update(noise, phase)
        assert first.strays == set()
        assert first.operations == second.operations
    assert all(tensor.is_meta for tensor in agent.state().values())


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_a_decision_stays_on_the_device(name):
    agent, store = core.make_agent(name, device="meta")
    noise = meta_noise(agent, agent.evaluation_draws(4), "evaluation")
    observations = torch.zeros(2, 4, store.observation_dim, device="meta")
    with Watch() as watch:
        actions = agent.sample_actions(observations, noise)
    assert watch.strays == set()
    assert actions.is_meta
    assert actions.shape == (2, 4, store.action_dim)


@pytest.mark.parametrize("name", ["diffusion_ql", "bcq_diffusion", "edp", "dtql"])
def test_native_activations_give_the_same_steps(name, monkeypatch):
    """A GPU takes PyTorch's Mish; here the processor does, in float64."""

    def state():
        agent, store = core.make_agent(name)
        core.to_double(agent)
        for _, batch, noise in core.training_steps(agent, store, 5):
            batch = Batch(**core.double(vars(batch)))
            agent.update(batch, core.double(noise), agent.phase(4))
        return agent.state()

    expected, calls = state(), []
    monkeypatch.setattr(kernels, "has_native_mish", lambda x: calls.append(x) or True)
    found = state()
    assert len(calls) > 50
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-10, rtol=1e-8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_a_cuda_graph_repeats_the_eager_step(name, caplog):
    state, metrics, steps = take_steps(RecordedSteps, name, "cuda")
    expected, expected_metrics, _ = take_steps(EagerSteps, name, "cuda")
    assert steps.recordings
    assert caplog.text == ""
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, atol=1e-5, rtol=1e-4)
    for mine, theirs in zip(metrics, expected_metrics, strict=True):
        for key, value in theirs.items():
            torch.testing.assert_close(mine[key], value, atol=1e-4, rtol=1e-3)
