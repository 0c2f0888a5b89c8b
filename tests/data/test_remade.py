"""Remade data: shares, sizes, seeds, and policies that do not fit."""

import numpy as np
import pytest

from dql.config.data_schema import PolicyPart
from dql.config.project import load_project
from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import remade
from dql.data.checks import dataset_state, verify
from dql.data.d4rl_facts import published_moments, return_facts, state_moments
from dql.data.datasets import load_dataset
from dql.data.minari_files import DIMENSIONS
from dql.data.policy_weights import catalogue, store_weights
from dql.errors import UserError
from tests.support.synthetic_weights import (
    action_model,
    publish,
    snapshot,
    state_model,
)

HOPPER = "hopper-medium-v2"
EXPERT = "hopper-expert-v2"


def make_task(*parts: dict, num_transitions: int = 300, environment="hopper", seed=0):
    """Make a remade task with short episodes."""
    return TaskConfig(
        name="remade-hopper-medium",
        suite="remade",
        namesake=HOPPER,
        environment=environment,
        horizon=40,
        dataset=DatasetConfig(
            source="remade",
            num_transitions=num_transitions,
            seed=seed,
            parts=[PolicyPart(**part) for part in parts],
        ),
    )


@pytest.fixture
def policies(tmp_path, monkeypatch):
    """Store a clone of each of two sets and a snapshot below the working directory."""
    monkeypatch.chdir(tmp_path)
    named = {
        f"actions-{HOPPER}": ("action_model", action_model(0)),
        f"actions-{EXPERT}": ("action_model", action_model(1)),
        f"states-{HOPPER}": ("state_model", state_model()),
        "hopper_online_0": ("sac_policy", snapshot()),
    }
    publish(monkeypatch, tmp_path / "published", named)
    for name in named:
        store_weights(name)


def clone_of(name: str, share: float = 1, **disturbance) -> dict:
    return {"policy": f"actions-{name}", "share": share, **disturbance}


def test_shares_are_of_the_transitions():
    parts = [PolicyPart(policy="p", share=share) for share in (2, 1, 1)]
    assert remade.part_sizes(parts, 1001) == [500, 251, 250]


def test_data_are_whole_described_and_verified(policies):
    task = make_task(clone_of(HOPPER), clone_of(EXPERT), num_transitions=301)
    manifest = remade.generate(task)
    assert manifest["num_transitions"] == 301
    assert manifest["source"] == "remade"
    assert "remade, not D4RL's file" in manifest["description"]
    sizes = [part["num_transitions"] for part in manifest["generator"]["parts"]]
    assert sizes == [150, 151]
    assert verify(task) == manifest
    assert dataset_state(task).state == "generated"
    dataset = load_dataset(task)
    assert dataset.observations.shape[1] == 11
    assert np.abs(dataset.actions).max() <= 1


def test_the_seed_decides_everything(policies):
    digests = [
        remade.generate(make_task(clone_of(HOPPER), seed=seed))["digest"]
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_part_does_not_depend_on_those_behind_it(policies):
    alone = make_task(clone_of(HOPPER), num_transitions=100)
    both = make_task(clone_of(HOPPER), clone_of(EXPERT), num_transitions=200)
    found = []
    for task in (alone, both):
        remade.generate(task)
        found.append(load_dataset(task).actions)
    assert np.array_equal(found[0], found[1][: len(found[0])])


def test_disturbed_actions_are_those_that_are_kept(policies):
    task = make_task(clone_of(HOPPER, random_share=(1.0, 1.0)))
    remade.generate(task)
    actions = load_dataset(task).actions
    assert actions.std(axis=0) == pytest.approx([3**-0.5] * 3, rel=0.1)


def test_snapshots_act_too(policies):
    task = make_task({"policy": "hopper_online_0", "share": 1})
    assert remade.generate(task)["num_transitions"] == 300


def test_a_policy_of_another_environment_is_named(policies):
    task = make_task(clone_of(HOPPER), environment="walker2d")
    with pytest.raises(UserError, match=rf"'actions-{HOPPER}' acts in hopper, not in"):
        remade.generate(task)


def test_a_model_of_states_does_not_act(policies):
    with pytest.raises(UserError, match="is a state model: it does not act"):
        remade.generate(make_task({"policy": f"states-{HOPPER}", "share": 1}))


def test_missing_weights_name_the_command(policies):
    remade.paths.POLICIES.joinpath(f"actions-{HOPPER}.safetensors").unlink()
    with pytest.raises(UserError, match=f"dql data policies actions-{HOPPER}"):
        remade.generate(make_task(clone_of(HOPPER)))


def test_other_tasks_are_not_remade():
    task = load_project(scale="quick").task("local-hopper-medium-expert")
    with pytest.raises(UserError, match="no data for task"):
        remade.generate(task)


def test_an_expert_sets_moments_follow_from_two_that_hold_it():
    known = published_moments()
    mixed, medium = known["hopper-medium-expert-v2"], known["hopper-medium-v2"]
    expert = state_moments(EXPERT)
    np.testing.assert_allclose((medium.mean + expert.mean) / 2, mixed.mean)
    squares = [moments.std**2 + moments.mean**2 for moments in (medium, expert)]
    np.testing.assert_allclose(sum(squares) / 2, mixed.std**2 + mixed.mean**2)


def test_sets_without_statistics_are_refused():
    with pytest.raises(UserError, match="hopper-random-v2"):
        state_moments("hopper-random-v2")


def test_every_remade_task_has_its_facts_and_policies():
    tasks = load_project(scale="evidence").scale.suites["remade"].tasks
    tasks = [name for name in tasks if "antmaze" not in name and "@" not in name]
    assert len(tasks) == 9
    for name in tasks:
        task = load_project(scale="evidence").task(name)
        assert task.physics == "d4rl"
        assert len(state_moments(task.namesake).mean) == DIMENSIONS[task.environment][0]
        assert f"states-{task.namesake}" in catalogue()
        for part in task.dataset.parts:
            assert part.policy in catalogue()
        if "expert" in name:
            sets = [part.policy.removeprefix("actions-") for part in task.dataset.parts]
            assert set(sets) <= set(return_facts())
        else:
            assert task.namesake in return_facts()
