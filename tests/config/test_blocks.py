"""Tasks that train in one job: alike in every operation of a step, else apart."""

import pytest

from dql.config.blocks import TaskBlock, block_size, task_blocks
from dql.config.project import load_project
from dql.errors import UserError

METHODS = ["diffusion_ql", "td3_bc"]


def project(suite, tasks_per_job, scale="paper", **sizes):
    changes = {"tasks_per_job": tasks_per_job, **sizes}
    return load_project(scale=scale, overrides={"suites": {suite: changes}})


def blocks(suite, tasks_per_job, **sizes):
    return list(task_blocks(project(suite, tasks_per_job, **sizes), suite))


def test_tasks_train_apart_unless_the_scale_says_otherwise():
    assert blocks("gym", 1) == []
    assert block_size(project("gym", 1), "hopper-medium-v2", "diffusion_ql") == 6


def test_the_data_of_one_body_train_together():
    found = blocks("gym", 3, methods=METHODS)
    assert [{task.partition("-")[0] for task in block.tasks} for block in found] == [
        {"halfcheetah"},
        {"hopper"},
        {"walker2d"},
    ]
    assert all(len(block.tasks) == 3 for block in found)
    together = project("gym", 3, methods=METHODS)
    assert block_size(together, "hopper-medium-v2", "td3_bc") == 18


def test_mazes_of_other_horizons_or_operations_train_apart():
    """Diffusion-QL takes its max-Q backup in five of the six."""
    found = blocks("antmaze", 6, methods=METHODS)
    umazes = ["antmaze-umaze-v0", "antmaze-umaze-diverse-v0"]
    assert TaskBlock(umazes, ["td3_bc"]) in found
    assert len(found) == 2 and len(found[1].tasks) == 4


def test_a_method_whose_settings_differ_in_kind_trains_apart():
    tasks = ["pen-human-v1", "pen-cloned-v1"]
    found = blocks("adroit", 2, tasks=tasks, methods=["bc_mle", "diffusion_ql"])
    assert found == [TaskBlock(tasks, ["bc_mle", "diffusion_ql"])]


def test_online_continuations_train_apart():
    methods = ["td3_bc", "td3_bc@online=50000"]
    tasks = ["local-hopper-medium", "local-hopper-medium-expert"]
    found = blocks("local", 2, tasks=tasks, methods=methods)
    assert found == [TaskBlock(tasks, ["td3_bc"])]


def test_stages_want_runs_one_by_one():
    with pytest.raises(UserError, match="tasks_per_job together; leave it off"):
        project("remade", 3, scale="evidence")
