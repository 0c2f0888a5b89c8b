"""The plan counts runs and steps, and times what a step costs."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from dql import paths
from dql.config.project import load_project
from dql.errors import UserError
from dql.training import evaluation_cost, plan
from dql.training.evaluation_cost import num_evaluations, seconds_per_evaluation
from dql.training.plan import Cost, cost_key, make_works, totals
from dql.training.plan_table import print_plan
from dql.training.process import choose_device

CPU = torch.device("cpu")


@pytest.fixture
def project():
    return load_project(scale="smoke")


@pytest.fixture
def fixed_cost(monkeypatch):
    """Replace the timing; return the blocks it was asked for."""
    asked = []

    def measure(run, block_size, device, *, evaluates):
        asked.append((run.agent, block_size))
        return Cost(0.36, checkpoint_bytes=1000, seconds_per_evaluation=7.2 * evaluates)

    monkeypatch.setattr(plan, "measure", measure)
    return asked


def test_it_adds_up_all_runs_of_the_scale(project, fixed_cost, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    works = make_works(project, CPU, evaluates=True)
    total = totals(works)
    runs = [project.run_config(*key) for key in project.runs()]
    steps = sum(run.training.num_gradient_steps for run in runs)
    assert total.num_runs == len(runs)
    assert total.num_gradient_steps == steps
    assert total.hours == pytest.approx(steps * 0.36 / 3600)
    counts = [num_evaluations(run) for run in runs]
    assert set(counts) == {1, 2}  # the bandit's runs, and the others
    assert total.evaluation_hours == pytest.approx(sum(counts) * 7.2 / 3600)
    assert total.checkpoint_bytes == 1000 * len(runs)
    assert len(fixed_cost) < len(runs)  # equal kinds are timed once


def test_it_shows_how_many_kinds_of_runs_are_timed(
    project, fixed_cost, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = []

    @contextmanager
    def bar(description, total):
        shown.append(total)
        yield shown.append

    monkeypatch.setattr(plan, "progress_bar", bar)
    make_works(project, CPU)
    assert shown == [len(fixed_cost), *[1] * len(fixed_cost)]


def test_finished_runs_cost_nothing(project, fixed_cost, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = project.run_config(*project.runs()[0])
    folder = paths.run_directory(run.task, run.method, run.seed)
    folder.mkdir(parents=True)
    (folder / paths.PROVENANCE_FILE).write_text("{}")
    stored = run.model_dump(mode="json") | {"label": "another"}
    (folder / paths.CONFIG_FILE).write_text(json.dumps(stored))
    assert totals(make_works(project, CPU)).num_finished == 1
    stored["settings"] |= {"hidden_dim": 7}
    (folder / paths.CONFIG_FILE).write_text(json.dumps(stored))
    assert totals(make_works(project, CPU)).num_finished == 0


def test_what_changes_no_cost_is_timed_once(project):
    first = project.run_config("bandit-axes", "diffusion_ql", 0)
    corners = project.run_config("bandit-corners", "diffusion_ql", 0)
    shorter = project.run_config("bandit-axes", "diffusion_ql@N=2", 0)
    assert cost_key(first, 3) == cost_key(corners, 3)
    assert cost_key(first, 3) != cost_key(first, 1)
    assert cost_key(first, 3) != cost_key(shorter, 3)
    unguided = project.run_config("bandit-axes", "diffusion_ql@eta=0", 0)
    assert cost_key(first, 3) != cost_key(unguided, 3)  # the chain is not run


def test_cost_is_of_one_run(project):
    run = project.run_config("bandit-axes", "bc_mle", 0)
    alone, company = plan.measure(run, 1, CPU), plan.measure(run, 3, CPU)
    assert alone.checkpoint_bytes == company.checkpoint_bytes > 0
    assert 0 < company.seconds_per_step < 1


@pytest.mark.parametrize(("num_steps", "first"), [(6010, 5920), (30, 0)])
def test_the_last_steps_of_a_run_are_timed(project, monkeypatch, num_steps, first):
    """An agent that clones first does not in most of its steps."""
    taken = []
    makes = SimpleNamespace(take=lambda step, noise: taken.append(step))
    monkeypatch.setattr(plan, "make_steps", lambda agent, store: makes)
    run = project.run_config("bandit-axes", "bc_mle", 0)
    training = run.training.model_copy(update={"num_gradient_steps": num_steps})
    plan.measure(run.model_copy(update={"training": training}), 1, CPU)
    count = plan.NUM_BLOCKS * plan.BLOCK_STEPS
    assert taken == list(range(first, first + count))


def test_it_is_printed(project, fixed_cost, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    print_plan(make_works(project, CPU, evaluates=True), CPU)
    printed = capsys.readouterr().out
    assert "bandit" in printed
    assert "as if each episode" in printed
    assert "as loaded as it is now" in " ".join(printed.split())


@pytest.mark.parametrize(("name", "word"), [("gpu", "unknown"), ("cuda", "no CUDA")])
def test_a_device_that_is_not_there_is_named(name, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=word):
        choose_device(name)


@pytest.mark.parametrize(
    ("blocks", "num_taken", "best"),
    [([2, 0.5, 0.25, 1], 4, 0.25), ([3, 2.5, 1], 2, 2.5), ([6, 1], 1, 6)],
)
def test_long_steps_are_timed_fewer_times(blocks, num_taken, best):
    """`blocks` are the seconds that each block of noise would take."""
    now, taken = [0.0], []

    def take(step, noise):
        taken.append(step)
        now[0] += blocks[step // plan.BLOCK_STEPS] / plan.BLOCK_STEPS

    streams = SimpleNamespace(at=lambda step: None)
    seconds = plan.seconds_per_step(take, streams, CPU, lambda: now[0])
    assert seconds == pytest.approx(best / plan.BLOCK_STEPS)
    assert taken == list(range(num_taken * plan.BLOCK_STEPS))


@pytest.mark.parametrize(
    ("task", "num_episodes", "seconds"),
    # A start takes 3 s, a time step .5 s; a horizon of 100 (smoke's), or of 1.
    [("local-hopper-medium-expert", 2, 53), ("local-hopper-medium-expert", 40, 212),
     ("bandit-axes", 200, 3.5)],
)  # fmt: skip
def test_an_evaluation_is_told_by_its_first_steps(
    project, monkeypatch, task, num_episodes, seconds
):
    now, asked = [0.0], []

    def evaluate(agent, environments, gradient_step, **_):
        asked.append({e.num_environments for e in environments})
        now[0] += len(environments) * (3 + 0.5 * environments[0].horizon)

    monkeypatch.setattr(evaluation_cost, "evaluate", evaluate)
    run = project.run_config(task, "diffusion_ql", 0)
    training = {"num_evaluation_episodes": num_episodes}
    run = run.model_copy(update={"training": run.training.model_copy(update=training)})
    spec = SimpleNamespace(device=CPU, seeds=(0, 1), num_runs=2)
    agent = SimpleNamespace(spec=spec)
    assert seconds_per_evaluation(agent, run, lambda: now[0]) == pytest.approx(seconds)
    assert asked[0] == {min(num_episodes, 10) if seconds > 4 else num_episodes}


@pytest.mark.parametrize(
    ("task", "method"),
    [("bandit-axes", "diffusion_ql"), ("local-hopper-medium-expert", "td3_bc")],
)
def test_evaluations_are_really_timed(project, task, method):
    run = project.run_config(task, method, 0)
    cost = plan.measure(run, 2, CPU, evaluates=True)
    assert 0 < cost.seconds_per_evaluation < 60


@pytest.mark.parametrize(("interval", "count"), [(20, 2), (30, 2), (40, 1), (100, 1)])
def test_a_run_is_evaluated_at_intervals_and_at_its_end(project, interval, count):
    run = project.run_config("local-hopper-medium-expert", "td3_bc", 0)
    assert run.training.num_gradient_steps == 40
    training = run.training.model_copy(update={"evaluation_interval": interval})
    assert num_evaluations(run.model_copy(update={"training": training})) == count
