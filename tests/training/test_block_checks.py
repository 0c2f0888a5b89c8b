"""What may share a block of runs, and what is refused before time is spent."""

from types import SimpleNamespace

import pytest

from dql.agents.agent import Agent
from dql.config.project import load_project
from dql.errors import UserError
from dql.training.block_checks import check_block, warn_of_rates


def config(method="diffusion_ql@N=3", task="bandit-axes", **environment):
    run = load_project(scale="smoke").run_config(task, method, 0)
    changed = run.environment.model_copy(update=environment)
    return run.model_copy(update={"environment": changed})


def test_none_are_no_block():
    with pytest.raises(UserError, match="no runs to train"):
        check_block([])


def test_tasks_may_differ():
    check_block([config(), config(task="bandit-corners")])


def test_agents_and_horizons_may_not():
    with pytest.raises(UserError, match="differ in 'agent'"):
        check_block([config(), config("bc_mle")])
    with pytest.raises(UserError, match="differ in 'horizon'.* has 1, .* 7"):
        check_block([config(), config(horizon=7)])


def schedule_and_run(project, task, method):
    """Return an agent's schedule, and the run, of a cell."""
    seed = project.seeds(task, method)[0]
    run = project.run_config(task, method, seed)
    agent = SimpleNamespace(settings=SimpleNamespace(**run.settings))
    agent.decay_factor = lambda step: Agent.decay_factor(agent, step)
    return agent, SimpleNamespace(config=run, first_step=0)


@pytest.mark.parametrize("scale", ["paper", "quick", "ablations", "evidence"])
def test_no_scale_trains_its_last_steps_at_rates_of_zero(scale, caplog):
    project = load_project(scale=scale)
    for cell in project.cells(project.scale.suites):
        warn_of_rates(*schedule_and_run(project, *cell))
    assert not caplog.text


def test_a_cosine_in_few_moves_reaches_zero_at_the_move_after_its_end(caplog):
    project = load_project(scale="smoke")
    num_steps = project.training("bandit-axes", "td3_bc").num_gradient_steps
    late = f"learning_rate_decay_steps={num_steps - 1}"
    for variant in (f"{late},learning_rate_decay_interval={num_steps}", late):
        assert not caplog.text
        warn_of_rates(*schedule_and_run(project, "bandit-axes", f"td3_bc@{variant}"))
    assert f"to gradient step {num_steps}, the run's last" in caplog.text
