"""Evaluating a copy of the policies beside training gives the same numbers."""

import signal
import threading

import core
import numpy as np
import pytest
import torch
from counting_environment import CountingEnvironment
from safetensors.torch import load_file
from stand_in_recording import StandIn

from dql.config.project import load_project
from dql.training import evaluators
from dql.training import loop as training
from dql.training.checkpoint import checkpoint_file
from dql.training.evaluators import (
    EvaluatorBesideTraining,
    EvaluatorBetweenSteps,
    make_evaluator,
)
from dql.training.loop import train

SIZES = {
    "num_gradient_steps": 40,
    "batch_size": 16,
    "log_interval": 10,
    "evaluation_interval": 10,
    "checkpoint_interval": 10,
    "num_evaluation_episodes": 12,
}
FILES = ("metrics.csv", "evaluations.csv", "samples.csv")


def config(seed, **sizes):
    run = load_project(scale="smoke").run_config(
        "bandit-axes", "diffusion_ql@N=3", seed
    )
    changed = run.training.model_copy(update=SIZES | sizes)
    return run.model_copy(update={"training": changed})


def beside(agent, environments, num_threads):
    return EvaluatorBesideTraining(
        agent, environments, num_threads, StandIn("a decision")
    )


def content(directory):
    files = {name: (directory / name).read_bytes() for name in FILES}
    return files, load_file(checkpoint_file(directory))


def check_same(directories, others):
    for mine, theirs in zip(directories, others, strict=True):
        (files, tensors), (expected, wanted) = content(mine), content(theirs)
        assert files == expected
        assert tensors.keys() == wanted.keys()
        assert all(torch.equal(tensors[key], wanted[key]) for key in wanted)


@pytest.fixture
def expected(tmp_path):
    """Two runs, evaluated between steps."""
    folders = [tmp_path / "between" / str(seed) for seed in (0, 1)]
    train([config(0), config(1)], folders)
    return folders


def test_the_files_are_the_same(tmp_path, monkeypatch, expected):
    monkeypatch.setattr(training, "make_evaluator", beside)
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    train([config(0), config(1)], folders)
    check_same(folders, expected)


class Held(EvaluatorBesideTraining):
    """An evaluation ends when the test lets it, or training waits for it."""

    def __init__(self, *arguments):
        super().__init__(*arguments, StandIn("a decision"))
        self.may_end = threading.Event()

    def _evaluate(self, *arguments):
        assert self.may_end.wait(timeout=60)
        return super()._evaluate(*arguments)

    def take(self, *, waits):
        if waits:
            self.may_end.set()
        return super().take(waits=waits)

    def start(self, *arguments):
        self.may_end.clear()
        super().start(*arguments)


def test_training_goes_on_and_no_state_is_written_meanwhile(
    tmp_path, monkeypatch, expected
):
    """All evaluations last until training must wait: ten steps, a whole interval."""
    saved, taken = [], []
    save, make_steps = training.Block._save, training.make_steps

    def noted_save(self, step):
        saved.append(step)
        save(self, step)

    def noted_steps(agent, store):
        steps = make_steps(agent, store)
        take = steps.take

        def noted_take(step, noise):
            taken.append(step)
            return take(step, noise)

        steps.take = noted_take
        return steps

    monkeypatch.setattr(training, "make_evaluator", Held)
    monkeypatch.setattr(training, "make_steps", noted_steps)
    monkeypatch.setattr(training.Block, "_save", noted_save)
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    train([config(0), config(1)], folders)
    assert taken == list(range(40))
    assert saved == [40]
    check_same(folders, expected)


def test_a_state_is_written_when_the_evaluation_is_in(tmp_path, monkeypatch):
    saved = []
    save = training.Block._save

    def noted_save(self, step):
        saved.append(step)
        save(self, step)

    class Quick(Held):
        """Ends while the third step after its beginning is taken."""

        asked = 0

        def start(self, *arguments):
            super().start(*arguments)
            self.asked = 0

        def take(self, *, waits):
            self.asked += 1
            return super().take(waits=waits or self.asked == 3)

    monkeypatch.setattr(training, "make_evaluator", Quick)
    monkeypatch.setattr(training.Block, "_save", noted_save)
    train([config(0)], [tmp_path])
    assert saved == [12, 22, 32, 40]


@pytest.mark.parametrize("stop_at", [13, 25])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, monkeypatch, expected, stop_at):
    monkeypatch.setattr(training, "make_evaluator", Held)
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    record = training.Block._record

    def interrupted(self, done, progress, signals):
        if done == stop_at:
            signals.received = signal.SIGTERM
        record(self, done, progress, signals)

    with monkeypatch.context() as patch:
        patch.setattr(training.Block, "_record", interrupted)
        with pytest.raises(SystemExit):
            train([config(0), config(1)], folders)
    train([config(0), config(1)], folders)
    check_same(folders, expected)


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_what_is_evaluated_are_the_weights_of_its_step(name):
    agent, store = core.make_agent(name)
    expected_environments = [CountingEnvironment(3), CountingEnvironment(3)]
    found_environments = [CountingEnvironment(3), CountingEnvironment(3)]
    core.train_steps(agent, store, 4)
    EvaluatorBetweenSteps(agent, expected_environments, 1).start(4, [])
    with Held(agent, found_environments, 1) as evaluator:
        evaluator.start(4, [])
        core.train_steps(agent, store, 3, start=4)  # meanwhile
        assert evaluator.take(waits=False) is None
        evaluated = evaluator.take(waits=True)
        assert evaluated.step == 4
        assert not evaluator.is_pending
    for mine, theirs in zip(found_environments, expected_environments, strict=True):
        np.testing.assert_allclose(mine.actions(), theirs.actions(), atol=1e-5)


def test_a_training_that_fails_does_not_wait_for_the_evaluation(monkeypatch):
    agent, _ = core.make_agent("bc_mle")

    def until_cancelled(*arguments, cancelled, **others):
        assert cancelled.wait(timeout=60)
        return []

    monkeypatch.setattr(evaluators, "evaluate", until_cancelled)
    with pytest.raises(ZeroDivisionError), beside(agent, [], 1) as evaluator:
        evaluator.start(0, [])
        raise ZeroDivisionError


def test_an_evaluation_that_fails_fails_the_training(monkeypatch):
    agent, _ = core.make_agent("bc_mle")

    def fails(*arguments, **others):
        raise RuntimeError("the physics failed")

    monkeypatch.setattr(evaluators, "evaluate", fails)
    with beside(agent, [], 1) as evaluator:
        evaluator.start(0, [])
        with pytest.raises(RuntimeError, match="the physics failed"):
            evaluator.take(waits=True)


def test_a_processor_evaluates_between_steps():
    agent, _ = core.make_agent("bc_mle")
    assert type(make_evaluator(agent, [], 1)) is EvaluatorBetweenSteps
