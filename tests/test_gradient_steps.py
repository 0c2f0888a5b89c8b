"""Recorded steps are the eager ones; a stand-in records where there is no GPU."""

import core
import pytest
import torch

from dql.gradient_steps import WARM_UP_STEPS, EagerSteps, RecordedSteps, make_steps
from dql.noise import Draw, NoiseStreams

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
