"""The settings' ranges: what lies outside is refused by name, what lies inside runs."""

import json
import re
import typing
from dataclasses import asdict

import pytest
import torch
from core import SMALL, make_agent, train_steps
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.config.validation import (
    parse_variant,
    settings_faults,
    spelled,
    validate_settings,
)
from dql.core.noise import NoiseStreams
from dql.errors import UserError

NAMES = sorted(SETTINGS)


@pytest.fixture(scope="module")
def project():
    return load_project(scale="smoke")


@pytest.mark.parametrize("agent", NAMES)
def test_checking_changes_no_default(agent):
    checked, defaults = validate_settings(agent, {}, ""), asdict(SETTINGS[agent]())
    assert checked == defaults
    assert list(map(type, checked.values())) == list(map(type, defaults.values()))


@pytest.mark.parametrize("agent", NAMES)
def test_every_number_has_a_range(agent):
    hints = typing.get_type_hints(SETTINGS[agent], include_extras=True)
    for name, hint in hints.items():
        union = typing.get_args(hint) if type(None) in typing.get_args(hint) else ()
        assert not {int, float, bool} & {hint, *union}, name


OUTSIDE = [
    ("diffusion_ql", "N=0", "num_denoising_steps"),
    ("diffusion_ql", "N=-3", "num_denoising_steps"),
    ("diffusion_ql", "N=true", "num_denoising_steps"),
    ("diffusion_ql", "N=1.5", "num_denoising_steps"),
    ("diffusion_ql", "N=100000000", "num_denoising_steps"),
    ("diffusion_ql", "hidden_dim=0", "hidden_dim"),
    ("diffusion_ql", "num_candidates=0", "num_candidates"),
    ("diffusion_ql", "time_embedding_dim=2", "time_embedding_dim"),
    ("diffusion_ql", "time_embedding_dim=5", "time_embedding_dim"),
    ("diffusion_ql", "learning_rate_decay_steps=0", "learning_rate_decay_steps"),
    ("td3_bc", "learning_rate_decay_interval=0", "learning_rate_decay_interval"),
    ("diffusion_ql", "actor_ema_interval=0", "actor_ema_interval"),
    ("diffusion_ql", "num_backpropagated_steps=0", "num_backpropagated_steps"),
    ("diffusion_ql", "num_backpropagated_steps=3,N=2", "num_denoising_steps, 2"),
    ("diffusion_ql", "max_q_backup=1", "max_q_backup"),
    ("edp", "num_solver_steps=0", "num_solver_steps"),
    ("td3_bc", "actor_interval=0", "actor_interval"),
    ("td3_bc", "learning_rate=-1", "learning_rate"),
    ("td3_bc", "learning_rate=true", "learning_rate"),
    ("td3_bc", "polyak_step_size=5", "polyak_step_size"),
    ("diffusion_ql", "max_gradient_norm=-1", "max_gradient_norm"),
    ("diffusion_ql", "eta=nan", "q_coefficient"),
    ("diffusion_ql", "eta=.nan", "q_coefficient"),
    ("diffusion_ql", "eta=inf", "q_coefficient"),
    ("diffusion_ql", "eta=-.inf", "q_coefficient"),
    ("diffusion_ql", "eta=1e400", "q_coefficient"),
    ("diffusion_ql", "eta=1e39", "q_coefficient"),
    ("diffusion_ql", "discount=2", "discount"),
    ("iql", "expectile=1", "expectile"),
    ("bc_mle", "num_hidden_layers=-1", "num_hidden_layers"),
    ("bc_mle", "log_std_min=5", "log_std_min, 5.0, is not below log_std_max, 2.0"),
    ("bc_mle", "log_std_max=1000", "log_std_max"),
    ("bear_mmd", "log_multiplier_max=-5", "log_multiplier_min, -5.0, is not below"),
    ("iql", "initial_log_std=2", "initial_log_std, 2.0, is not between"),
]


@pytest.mark.parametrize(("method", "change", "named"), OUTSIDE)
def test_what_lies_outside_is_refused_by_name(project, method, change, named):
    variant = f"{method}@{change}"
    with pytest.raises(UserError, match=re.escape(named)) as caught:
        project.run_config("bandit-axes", variant, 0)
    assert variant in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("eta=1,eta=2", "'q_coefficient' stands twice"),
        ("eta=1,q_coefficient=2", "'q_coefficient' stands twice"),
        ("N=2,num_denoising_steps=2", "'num_denoising_steps' stands twice"),
        ("N=010", "'010' is not a decimal number"),
        ("N=0x10", "'0x10' is not a decimal number"),
        ("eta=01", "'01' is not a decimal number"),
    ],
)
def test_a_value_that_reads_in_two_ways_is_refused(project, change, named):
    with pytest.raises(UserError, match=re.escape(named)) as caught:
        project.run_config("bandit-axes", f"diffusion_ql@{change}", 0)
    assert f"diffusion_ql@{change}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("eta=0.50", "eta=0.5"),
        ("eta=.5", "eta=0.5"),
        ("eta=1.0", "eta=1"),
        ("eta=+1", "eta=1"),
        ("eta=-0.0", "eta=0"),
        ("eta=1e-4", "eta=0.0001"),
        ("learning_rate=3E-05", "learning_rate=3e-5"),
        ("N=1_0", "N=10"),
        ("max_q_backup=yes", "max_q_backup=true"),
        ("max_gradient_norm=Null", "max_gradient_norm=null"),
    ],
)
def test_a_value_in_another_spelling_is_refused_with_the_one_it_has(
    project, change, remedy
):
    """Two names of one run would be two folders."""
    variant = f"diffusion_ql@{change}"
    with pytest.raises(UserError, match=f"'{re.escape(variant)}'") as caught:
        project.run_config("bandit-axes", variant, 0)
    assert str(caught.value).endswith(f"write the value as {remedy}")
    assert project.run_config("bandit-axes", f"diffusion_ql@{remedy}", 0)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_spelling_is_the_numbers_and_its_own(number):
    text = spelled(number)
    assert parse_variant(f"eta={text}") == {"q_coefficient": number}


def test_one_message_names_every_wrong_setting(project):
    change = "N=0,eta=nan,discount=2,etaa=1,num_backpropagated_steps=9"
    with pytest.raises(UserError) as caught:
        project.settings("bandit-axes", f"diffusion_ql@{change}")
    lines = str(caught.value).splitlines()
    named = ["'etaa'", "num_denoising", "q_coefficient", "discount", "steps is 9"]
    assert len(lines) == len(named)
    assert all(any(word in line for line in lines) for word in named)


def test_one_message_names_every_wrong_method_of_a_scale():
    methods = [
        "diffusion_ql@N=0",
        "bqc",
        "td3_bc@polyak_step_size=5",
        "iql@expectile=1",
    ]
    changes = {"local": {"methods": methods}, "bandit": {"settings": {"discount": 2}}}
    with pytest.raises(UserError) as caught:
        load_project(overrides={"suites": changes})
    for name in (*methods, "'diffusion_ql' on 'bandit-axes': discount"):
        assert name in str(caught.value)


def test_faults_without_a_wrong_value_end_the_search():
    # Both bounds stand in their range, neither with the other.
    settings, faults = settings_faults("bc_mle", {"log_std_min": 2, "log_std_max": 1})
    assert settings is None
    assert len(faults) == 1


def test_values_are_stored_as_json_holds_them(project):
    variant = "diffusion_ql@eta=0.0001,learning_rate=3e-5,max_gradient_norm=null"
    run = project.run_config("bandit-axes", variant, 0)
    stored = json.loads(run.model_dump_json())["settings"]
    assert stored == run.settings
    assert stored["q_coefficient"] == 1e-4
    assert stored["learning_rate"] == 3e-5
    assert stored["max_gradient_norm"] is None


def bounds(agent):
    """Yield every setting with the smallest and the largest value of its range."""
    properties = TypeAdapter(SETTINGS[agent]).json_schema()["properties"]
    for name, schema in properties.items():
        for branch in schema.get("anyOf", [schema]):
            if "minimum" in branch:
                yield name, branch["minimum"]
            if "exclusiveMinimum" in branch:
                yield name, branch["exclusiveMinimum"] + 1e-6
            if "exclusiveMaximum" in branch:
                yield name, branch["exclusiveMaximum"] - 1e-6
            if branch.get("maximum", 1e9) <= 1000:  # larger ones take long
                yield name, branch["maximum"]


@pytest.mark.parametrize("agent", NAMES)
def test_the_bounds_of_every_range_train(agent):
    tried = 0
    for name, value in bounds(agent):
        chosen, _ = settings_faults(agent, SMALL[agent] | {name: value})
        if chosen is None:
            assert name.startswith(("log_", "initial_log_"))  # bounds that would cross
            continue
        built, store = make_agent(agent, seeds=(0,), settings=[chosen])
        train_steps(built, store, 2)
        streams = NoiseStreams((0,), built.evaluation_draws(2), "evaluation")
        with torch.no_grad():
            actions = built.sample_actions(torch.zeros(1, 2, 5), streams.at(0))
        assert actions.shape == (1, 2, 3)
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("method", ["diffuser", "decision_diffuser"])
def test_a_plan_that_cannot_be_halved_as_often_is_refused(project, method):
    change = "horizon=6,channel_levels=1-2-4"
    with pytest.raises(UserError, match="must be a multiple of 4") as caught:
        project.run_config("local-hopper-medium-expert", f"{method}@{change}", 0)
    assert "horizon, 6" in str(caught.value)
