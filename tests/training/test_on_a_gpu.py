"""On a real GPU: every phase is recorded and repeated, and nothing waits for it."""

import json

import core
import numpy as np
import pytest
import torch
from counting_environment import CountingEnvironment
from on_a_gpu import (
    DEVICE,
    NUM_STEPS,
    make_agent,
    needs_gpu,
    repeated_phases,
    take_steps,
)

from dql.config.project import load_project
from dql.core.noise import Draw, NoiseStreams
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import evaluate
from dql.training.evaluators import EvaluatorBesideTraining
from dql.training.gradient_steps import RecordedSteps, training_streams
from dql.training.loop import train
from dql.training.recording import WARM_UPS, RecordedCalls

pytestmark = needs_gpu
SIZES = {
    "num_gradient_steps": 40,
    "batch_size": 16,
    "log_interval": 10,
    "evaluation_interval": 10,
    "checkpoint_interval": 20,
    "num_evaluation_episodes": 12,
}


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_recorded_steps_are_the_eager_ones(name, caplog):
    calls = RecordedCalls("a gradient step")
    state, metrics, agent = take_steps(name, calls)
    expected, expected_metrics, _ = take_steps(name)
    assert caplog.text == ""
    assert set(calls.recordings) == set(repeated_phases(agent))
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, atol=1e-5, rtol=1e-4)
    for mine, theirs in zip(metrics, expected_metrics, strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            torch.testing.assert_close(mine[key], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_a_step_waits_for_nothing(name):
    agent, store = make_agent(name)
    streams = training_streams(agent, store, 16)
    steps = RecordedSteps(agent, store)
    for step in range(NUM_STEPS):
        noise = streams.at(step)
        is_recording = steps.calls.num_taken[agent.phase(step)] == WARM_UPS
        # To begin a recording waits for the whole device, once for each phase.
        torch.cuda.set_sync_debug_mode("default" if is_recording else "error")
        try:
            steps.take(step, noise)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_step_that_cannot_be_recorded_leaves_the_process_sound(caplog):
    """It asks for a number in the middle; training goes on, and others record."""
    agent, store = make_agent("td3_bc")
    streams = training_streams(agent, store, 16)
    steps = RecordedSteps(agent, store)
    update, stream = agent.update, torch.cuda.current_stream()

    def asking(batch, noise, phase):
        batch.rewards.sum().item()
        return update(batch, noise, phase)

    agent.update = asking
    for step in range(12):
        metrics = steps.take(step, streams.at(step))
    assert "no CUDA graph of a gradient step" in caplog.text
    assert torch.cuda.current_stream() == stream
    assert all(torch.isfinite(value).all() for value in metrics.values())
    caplog.clear()
    calls = RecordedCalls("a gradient step")
    take_steps("td3_bc", calls)
    assert calls.recordings and caplog.text == ""


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_recorded_decisions_give_the_same_episodes(name, caplog):
    agent, _ = make_agent(name)
    made = RecordedDecisions(agent)
    seen = []
    for decisions in (None, made):
        environments = [CountingEnvironment(6), CountingEnvironment(6)]
        evaluate(agent, environments, 0, (), 3, decisions=decisions)
        seen.append([environment.actions() for environment in environments])
    assert made.calls.recordings and caplog.text == ""
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-4)


def test_training_goes_on_beside_an_evaluation(caplog):
    """Twice: the first time both are recorded meanwhile, then both are repeated."""
    agent, store = make_agent("diffusion_ql")
    streams = training_streams(agent, store, 16)
    steps = RecordedSteps(agent, store)
    found = [CountingEnvironment(6), CountingEnvironment(6)]
    expected = [CountingEnvironment(6), CountingEnvironment(6)]
    with EvaluatorBesideTraining(agent, found, 2) as evaluator:
        for start in (0, 60):
            evaluate(agent, expected, start)
            evaluator.start(start, [])
            for step in range(start, start + 60):
                steps.take(step, streams.at(step))
            assert evaluator.take(waits=True) is not None
    assert caplog.text == ""
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine.actions(), theirs.actions(), atol=1e-4)


def test_a_large_draw_repeats_and_has_its_moments():
    draws = {"normal": Draw((3000, 50)), "row": Draw((3000,), "integer", 1000)}
    blocks = [NoiseStreams([1], draws, "some", device=DEVICE).block(0) for _ in "ab"]
    for name in draws:
        assert torch.equal(blocks[0][name], blocks[1][name])
    normal, row = blocks[0]["normal"].double(), blocks[0]["row"]
    assert abs(normal.mean().item()) < 5e-3 and abs(normal.std().item() - 1) < 5e-3
    assert row.min() >= 0 and row.max() <= 999


def test_a_run_says_what_it_was_made_on(tmp_path):
    run = load_project(scale="smoke").run_config("bandit-axes", "diffusion_ql@N=3", 0)
    training = run.training.model_copy(update=SIZES)
    train([run.model_copy(update={"training": training})], [tmp_path], device=DEVICE)
    made = json.loads((tmp_path / "provenance.json").read_text())
    assert made["device"] == torch.cuda.get_device_name()
    assert made["gpu_seconds"] > 0
    rows = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 * SIZES["num_evaluation_episodes"]
