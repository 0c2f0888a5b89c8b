"""Keys of an online phase: where they stand, whose they are, what they decide."""

import pytest

from dql.config.online import is_online, offline_method, online_method
from dql.config.project import load_project
from dql.errors import UserError

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
