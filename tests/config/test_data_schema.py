"""Variants of a task's data by name: what they keep of the task, what is refused."""

import re

import pytest

from dql.config.data_schema import base_task, is_varied
from dql.config.project import load_project
from dql.errors import UserError

TASK = "remade-hopper-medium-expert"


@pytest.fixture(scope="module")
def evidence():
    return load_project(scale="evidence")


def test_a_variant_is_the_task_with_other_rows(evidence):
    name = f"{TASK}@random_share=0.3,action_noise=0.1"
    run = evidence.run_config(name, "diffusion_ql", 0)
    plain = evidence.run_config(TASK, "diffusion_ql", 0)
    variant = run.environment.dataset.variant
    assert (variant.random_share, variant.action_noise) == (0.3, 0.1)
    assert run.task == run.environment.name == name
    assert base_task(name) == TASK and is_varied(name) and not is_varied(TASK)
    assert (run.settings, run.training) == (plain.settings, plain.training)
    ours, theirs = (one.environment.model_dump(mode="json") for one in (run, plain))
    assert ours["dataset"].pop("variant") == variant.model_dump(mode="json")
    assert ours | {"name": TASK} == theirs  # so a run of the task says no word of it


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (f"{TASK}@random_share=1.5", "random_share: should be less than or equal to 1"),
        (f"{TASK}@random_share=-0.1", "random_share: should be greater than or equal"),
        (f"{TASK}@episode_share=0", "episode_share: should be greater than 0, not 0"),
        (f"{TASK}@episode_share=2", "episode_share: should be less than or equal to 1"),
        (f"{TASK}@action_noise=-1", "action_noise: should be greater than or equal"),
        (f"{TASK}@reward_noise=.inf", "reward_noise: should be a finite number"),
        (f"{TASK}@random_share=true", "random_share: should be a number, not True"),
        (f"{TASK}@random_shar=0.1", "unknown key 'random_shar'. Did you mean"),
        (f"{TASK}@random_share=0", "changes nothing; leave it off"),
        (f"{TASK}@seed=1", "changes nothing; leave it off"),
        (f"{TASK}@", "write task@key=value"),
        (f"{TASK}@random_share=0.1,random_share=0.2", "'random_share' stands twice"),
        (f"{TASK}@random_share=0.30", "write the value as random_share=0.3$"),
        (f"{TASK}@random_share=3e-1", "write the value as random_share=0.3$"),
        (f"{TASK}@random_share=1.0", "write the value as random_share=1$"),
        (f"{TASK}@random_share=0.3,seed=0", f"write '{TASK}@random_share=0.3'"),
        (
            f"{TASK}@action_noise=0.1,random_share=0.3",
            f"write '{TASK}@random_share=0.3,action_noise=0.1'",
        ),
        ("remade-antmaze-umaze@random_share=0.1", "no data of random actions in"),
        ("bandit-axes@episode_share=0.1", "every run draws the bandit's data"),
    ],
)  # fmt: skip
def test_what_a_variant_cannot_be_is_refused_by_name(evidence, task, fault):
    with pytest.raises(UserError, match=f"^task '{re.escape(task)}': .*{fault}"):
        evidence.task(task)


def test_a_variant_of_an_unknown_task_names_the_nearest(evidence):
    with pytest.raises(UserError, match=f"Did you mean '{TASK}'"):
        evidence.task("remade-hopper-medium-exprt@random_share=0.1")


def test_random_actions_of_another_simulator_are_refused():
    with pytest.raises(UserError, match="physics 'stock', the task of 'd4rl'"):
        load_project(scale="evidence", overrides={"physics": "stock"})


def test_fewer_random_actions_than_a_variant_asks_for_are_refused():
    def project(num_transitions):
        suites = {"local": {"num_transitions": num_transitions}}
        return load_project(scale="evidence", overrides={"suites": suites})

    name = f"{TASK}@random_share=0.7"
    fault = f"{name}': random_share: 1,400,000 .*has 1,399,999.*num_transitions=1400000"
    with pytest.raises(UserError, match=fault):
        project(1_399_999)
    assert project(1_400_000).task(name)


def test_a_scale_with_a_bad_variant_is_refused_as_it_is_read():
    tasks = {"local": {"tasks": ["local-hopper-medium-expert@random_share=7"]}}
    with pytest.raises(UserError, match=r"scales/smoke.yaml: task .*@random_share=7'"):
        load_project(scale="smoke", overrides={"suites": tasks})


def test_two_seeds_of_four_shares_and_two_sizes_are_in_the_campaign(evidence):
    levels = {"random_share": set(), "episode_share": set()}
    seeds = set()
    for task, method, seed in evidence.runs():
        base, _, variant = task.partition("@")
        if variant:
            assert base == TASK
            key, _, value = variant.partition("=")
            levels[key].add(value)
            seeds.add((task, method, seed))
    assert {key: len(values) for key, values in levels.items()} == {
        "random_share": 4,
        "episode_share": 2,
    }
    assert len(seeds) == 6 * 4 * 2
    without = {(run.method, run.seed) for run in evidence.runs() if run.task == TASK}
    assert {(method, seed) for _, method, seed in seeds} <= without
