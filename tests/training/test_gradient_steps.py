"""Recorded steps are the eager ones; a stand-in records where there is no GPU."""

import core
import on_a_gpu
import pytest
import torch
from stand_in_recording import Failing, StandIn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dql.core import kernels
from dql.core.batch import Batch
from dql.core.kernels import pointers
from dql.core.noise import Draw, NoiseStreams
from dql.training.gradient_steps import EagerSteps, RecordedSteps, make_steps
from dql.training.recording import WARM_UPS

NUM_STEPS = 23


def take_steps(name, calls):
    """Take steps on the processor, eager ones without `calls`."""
    settings = [{"learning_rate_decay_steps": 30}] * 2
    agent, store = core.make_agent(name, settings=settings)
    draws = agent.training_draws(16)
    draws["row"] = Draw((16,), "integer", store.run_sizes)
    streams = NoiseStreams(agent.spec.seeds, draws, "training")
    steps = RecordedSteps(agent, store, calls) if calls else EagerSteps(agent, store)
    metrics = []
    for step in range(NUM_STEPS):
        found = steps.take(step, streams.at(step))
        metrics.append({name: value.clone() for name, value in found.items()})
    return agent.state(), metrics


@pytest.mark.parametrize("name", ["diffusion_ql", "td3_bc", "bear_mmd", "cql"])
@pytest.mark.parametrize("kind", [StandIn, Failing])
def test_recorded_steps_equal_eager_ones(name, kind, caplog):
    calls = kind("a gradient step")
    state, metrics = take_steps(name, calls)
    expected, expected_metrics = take_steps(name, None)
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    for mine, theirs in zip(metrics, expected_metrics, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    often = {p for p, count in calls.num_taken.items() if count > WARM_UPS}
    if kind is StandIn:
        assert set(calls.recordings) == often
        assert caplog.text == ""
    else:
        assert calls.recordings == {}
        assert caplog.text.count("no CUDA graph of a gradient step") == 1


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_on_a_gpu_every_phase_would_be_recorded_and_repeated(name):
    """Or the tests there would fail, and with them all that waits for them."""
    agent, _ = on_a_gpu.make_agent(name, "meta")
    assert min(on_a_gpu.repeated_phases(agent).values()) >= WARM_UPS + 3


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
def test_a_step_can_be_recorded(name, monkeypatch):
    """The meta device has no data: to wait for a number fails there, as in a graph.

    Nor are the kernels of a processor compiled for it.
    """

    def compile_kernels():
        raise AssertionError("a compiler was called for")

    for module in (kernels, pointers):
        monkeypatch.setattr(module, "library", compile_kernels)
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
