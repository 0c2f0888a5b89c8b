"""What may share a block of runs, and what is refused before time is spent."""

import pytest

from dql.config.project import load_project
from dql.errors import UserError
from dql.training.block_checks import check_block


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
