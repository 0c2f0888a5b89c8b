"""Keys of an online phase: where they stand, whose they are, what they decide."""

from dataclasses import replace

import pytest
import torch

from dql.agents.registry import SETTINGS, agent_class
from dql.config.online import (
    OnlineConfig,
    check_start,
    is_online,
    offline_method,
    online_method,
)
from dql.config.project import load_project
from dql.core.noise import NoiseStreams
from dql.errors import UserError
from tests.support.core import make_agent

TASK = "local-hopper-medium-expert"


def run(method, **suite):
    overrides = {"suites": {"local": suite}} if suite else {}
    return load_project(scale="quick", overrides=overrides).run_config(TASK, method, 0)


@pytest.mark.parametrize(
    ("method", "offline"),
    [
        ("td3_bc@online=50000", "td3_bc"),
        ("diffusion_ql@eta=0.5,online=50000,offline_share=0", "diffusion_ql@eta=0.5"),
        ("diffusion_ql@online=50000,updates_per_step=2,N=3", "diffusion_ql@N=3"),
    ],
)
def test_an_online_variant_names_its_offline_run(method, offline):
    assert is_online(method) and not is_online(offline)
    assert offline_method(method) == offline
    assert run(method).settings == run(offline).settings


def test_the_verbs_method_is_the_variant():
    assert online_method("td3_bc", 10) == "td3_bc@online=10"
    assert online_method("td3_bc@q_coefficient=1", 10) == (
        "td3_bc@q_coefficient=1,online=10"
    )
    assert online_method("td3_bc@start_steps=5,q_coefficient=1", 10) == (
        "td3_bc@q_coefficient=1,online=10,start_steps=5"
    )
    with pytest.raises(UserError, match="states its environment steps already"):
        online_method("td3_bc@online=5", 10)


def test_an_offline_run_holds_no_word_of_it():
    assert run("td3_bc").online is None
    assert "online" not in run("td3_bc").model_dump(mode="json")


def test_environment_steps_decide_the_gradient_steps():
    training = run("td3_bc@online=20000,updates_per_step=3").training
    assert training.num_gradient_steps == 3 * 15000
    assert training.evaluation_interval == 3 * 5000


def test_the_variant_wins_over_the_method_and_the_method_over_the_scale():
    sizes = {"online": {"start_steps": 100, "offline_share": 0.25}}
    assert run("td3_bc@online=200", **sizes).online.offline_share == 0.25
    assert run("sac@online=200", **sizes).online.offline_share == 0
    sac = run("sac@online=200,offline_share=0.75", **sizes).online
    assert (sac.offline_share, sac.start_steps, sac.start) == (0.75, 100, "scratch")


def test_a_scale_with_a_bad_online_method_is_refused_as_it_is_read():
    with pytest.raises(UserError, match="offline_share: should be less than"):
        run("td3_bc", methods=["td3_bc", "td3_bc@online=9000,offline_share=3"])


@pytest.mark.parametrize(
    ("task", "method", "what"),
    [
        ("pen-human-v1", "diffusion_ql", "'normalize' takes the data's moments"),
        ("hopper-medium-v2", "iql", "'iql_locomotion' takes the data's returns"),
    ],
)
def test_rewards_scaled_by_data_need_data(task, method, what):
    project = load_project(scale="paper")
    assert project.online(task, f"{method}@online=9000")
    with pytest.raises(UserError, match=f"{what}, and .*offline_share above 0"):
        project.online(task, f"{method}@online=9000,start=scratch,offline_share=0")


def test_a_misspelt_key_of_this_phase_is_not_taken_for_an_agents():
    with pytest.raises(UserError, match=r"Did you mean 'start_steps'.* offline_share"):
        run("td3_bc@online=9000,start_step=100")
    with pytest.raises(UserError, match="of agent 'td3_bc'.*'target_noise'"):
        run("td3_bc@online=9000,target_nois=1")


def test_too_few_environment_steps_to_learn_in_get_a_remedy():
    with pytest.raises(UserError, match="give fewer: METHOD@start_steps=50"):
        run("td3_bc@online=500")
    assert run("td3_bc@start_steps=50,online=500").online.num_updates == 450


@pytest.mark.parametrize("decay_steps", [2000, 3000])
def test_rates_that_have_fallen_to_zero_are_named(decay_steps):
    """Scale `quick` trains 3,000 steps on local data."""
    variant = f"diffusion_ql@learning_rate_decay_steps={decay_steps},online=9000"
    with pytest.raises(UserError, match="rates are 0 after .* 3000 gradient steps"):
        run(variant)
    assert run(f"{variant},start=scratch").online.start == "scratch"


@pytest.mark.parametrize("decay_steps", ["null", "3001"])
def test_rates_above_zero_go_on(decay_steps):
    method = f"diffusion_ql@learning_rate_decay_steps={decay_steps},online=9000"
    assert run(method).online.start == "offline"


TRANSITIONS = [
    name
    for name, one in SETTINGS.items()
    if one.LEARNS_ONLINE and not one.READS_WINDOWS
]


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_tell_agents_of_windows(name):
    windows = agent_class(name).windows(SETTINGS[name]())
    assert (windows is not None) == SETTINGS[name].READS_WINDOWS


@pytest.mark.parametrize("start", ["offline", "scratch"])
@pytest.mark.parametrize("agent", ["diffuser", "decision_transformer"])
def test_an_agent_of_windows_is_refused_before_its_offline_run_is_asked_for(
    agent, start
):
    with pytest.raises(UserError, match=f"'{agent}' learns from windows of episodes"):
        run(f"{agent}@online=50000,start={start}")


def acts(agent, mean):
    """Return actions, evaluated and exploring, by a data mean of observations."""
    agent.spec = replace(agent.spec, observation_mean=mean)
    found = []
    for draws, act in (
        (agent.evaluation_draws(4), agent.sample_actions),
        (agent.exploration_draws(4), agent.explore),
    ):
        noise = NoiseStreams(agent.spec.seeds, draws, "evaluation").at(0)
        found.append(act(torch.ones(2, 4, agent.spec.observation_dim), noise))
    return torch.stack(found)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_who_acts_by_the_datas_moments_does_not_go_without_data(name):
    agent, _ = make_agent(name)
    mean = agent.spec.observation_mean
    hangs_on_data = not torch.equal(acts(agent, mean), acts(agent, mean + 1))
    online = OnlineConfig(
        num_environment_steps=9000, start="scratch", offline_share=0.0
    )
    settings = vars(agent.settings)
    try:
        check_start(online, name, settings, "none")
        is_refused = False
    except UserError as error:
        is_refused = f"agent '{name}' cannot act without its data" in str(error)
    assert is_refused == hangs_on_data
    check_start(online.model_copy(update={"start": "offline"}), name, settings, "none")
