"""What a block of runs makes of its data, and what it refuses before it trains."""

import dataclasses

import numpy as np
import pytest
import torch
from core import make_episodes

from dql.config.project import load_project
from dql.core.windows import WindowStore
from dql.data.datasets import ARRAYS, Dataset
from dql.data.rewards import reward_transform
from dql.errors import UserError
from dql.training.runs import Run, make_agent, make_store, prepared

CPU = torch.device("cpu")
SMALL = {"embedding_dim": 16, "num_layers": 1}


def make_run(data, tmp_path, **changes):
    """Return a run of Decision Transformer on data made here, rewards transformed."""
    variant = ",".join(f"{key}={value}" for key, value in (SMALL | changes).items())
    config = load_project(scale="smoke").run_config(
        "local-hopper-medium-expert", f"decision_transformer@{variant}", 0
    )
    task = config.environment.model_copy(update={"reward_transform": "normalize"})
    config = config.model_copy(update={"environment": task})
    arrays = {name: np.float32(getattr(data, name)) for name in ARRAYS}
    return Run(config, tmp_path, Dataset(**arrays), {})


def test_returns_to_go_are_the_environments(tmp_path):
    data = make_episodes()
    run = make_run(data, tmp_path, context_length=3)
    store = make_store([run], CPU)
    assert isinstance(store, WindowStore)
    first_end = int(np.argmax(data.terminations))
    found = store.gather(torch.tensor([[0]])).returns_to_go[0, 0, 0]
    assert found == pytest.approx(data.rewards[: first_end + 1].sum(), rel=1e-5)
    agent = make_agent([run], store, CPU)
    best = store.episode_facts().best_return
    torch.testing.assert_close(agent.target * 1000, best)


def test_transitions_carry_the_rewards_of_the_runs_method(tmp_path):
    data = Dataset(**{n: np.float32(getattr(make_episodes(), n)) for n in ARRAYS})
    project = load_project(scale="paper")
    found = {
        method: prepared(
            Run(project.run_config("hopper-medium-v2", method, 0), tmp_path, data, {}),
            None,
        )
        for method in ("iql", "diffusion_ql")
    }
    np.testing.assert_array_equal(found["diffusion_ql"].rewards, data.rewards)
    scaled = reward_transform("iql_locomotion", data)(data.rewards)
    np.testing.assert_array_equal(found["iql"].rewards, scaled)
    assert not np.array_equal(scaled, data.rewards)


def test_a_context_longer_than_any_episode_is_refused_with_the_task(tmp_path):
    run = make_run(make_episodes(), tmp_path, context_length=200)
    with pytest.raises(UserError, match="task 'local-hop.*window of 200 steps is long"):
        make_store([run], CPU)


def test_data_without_ends_of_episodes_are_refused_with_the_task(tmp_path):
    data = make_episodes()
    data.terminations[:] = 0.0
    run = make_run(data, tmp_path, context_length=2)
    with pytest.raises(UserError, match="task 'local-hop.*hold no end of an episode"):
        make_store([run], CPU)


def test_runs_of_other_dimensions_are_refused(tmp_path):
    first = make_run(make_episodes(), tmp_path, context_length=2)
    second = make_run(make_episodes(observation_dim=4), tmp_path, context_length=2)
    config = second.config.model_copy(update={"task": "another"})
    second = dataclasses.replace(second, config=config)
    with pytest.raises(UserError, match="need equal dimensions"):
        make_store([first, second], CPU)


@pytest.mark.parametrize("target", ["nan", ".inf", "1e400"])
def test_a_target_return_that_is_not_finite_is_refused(target, tmp_path):
    with pytest.raises(UserError, match=r"decision_transformer@.*target_return"):
        make_run(make_episodes(), tmp_path, target_return=target)


def test_one_step_tasks_are_not_served():
    with pytest.raises(UserError, match="does not serve task 'bandit-axes'"):
        load_project(scale="smoke").run_config("bandit-axes", "decision_transformer", 0)
