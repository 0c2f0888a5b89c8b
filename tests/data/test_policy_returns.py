"""Published policies rolled out here return what their authors published."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from dql.config.project import load_project
from dql.data import policy_returns
from dql.data.policy_returns import PolicyReturns, PublishedReturn, measure
from dql.data.policy_weights import FOLDER_VARIABLE, catalogue
from dql.errors import UserError
from tests.support.synthetic_weights import dapg, publish, snapshot, state_model

POLICIES = Path(__file__).parents[3] / "shared" / "d4rl" / "policies"
PROJECT = load_project(scale="paper")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def short(name: str, horizon: int = 3):
    """Return a task with short episodes."""
    return PROJECT.task(name).model_copy(update={"horizon": horizon})


@pytest.fixture
def policies(tmp_path, monkeypatch):
    """Publish a policy of each kind for a maze."""
    monkeypatch.chdir(tmp_path)
    named = {
        "ant": ("dapg_policy", dapg()),
        "narrow": ("dapg_policy", dapg(dims=(17, 6))),
        "states": ("state_model", state_model()),
    }
    publish(monkeypatch, tmp_path / "published", named, "antmaze-umaze")
    published = {"ant": PublishedReturn(0.5, 0.5, 4, "mean", "drawn by the test")}
    monkeypatch.setattr(policy_returns, "published_returns", lambda: published)


def found(returns, published=None, environment="hopper") -> PolicyReturns:
    batches = [np.array(returns, float)]
    return PolicyReturns("p", environment, "d4rl", "mean", batches, published)


arrivals = partial(found, environment="antmaze-umaze")


def test_z_is_in_our_standard_errors():
    half = PublishedReturn(0.5, None, None, "mean", "here")
    four = found([1, 1, 1, 0], half)
    assert four.standard_error == pytest.approx(0.25)
    assert four.z == pytest.approx(1.0)
    alike = found([1, 1], half)
    assert alike.z is None
    assert "z unknown, no spread to count in" in policy_returns.as_text(alike)
    assert found([1, 0]).z is None
    assert "return 0.8 ± 0.2, published 0.5: z 1.0" in policy_returns.as_text(four)


def test_the_published_error_counts_where_it_is_known():
    published = PublishedReturn(0.5, 0.6, 9, "mean", "here")  # an error of 0.2
    four = found([1, 1, 1, 0], published)
    assert four.z_of_both == pytest.approx(0.25 / np.hypot(0.25, 0.2))
    assert "in standard errors of both, 0.8" in policy_returns.as_text(four)
    for unknown in (None, PublishedReturn(0.5, 0.6, None, "mean", "here")):
        assert found([1, 1, 1, 0], unknown).z_of_both is None
        assert arrivals([1, 1, 1, 0], unknown).z_of_both is None


@pytest.mark.parametrize(("num_arrived", "count"), [(0, 3), (2, 2), (3, 4), (66, 100)])
def test_a_rates_error_is_that_of_wilsons_interval(num_arrived, count):
    one_deviation = math.erf(1 / math.sqrt(2))
    low, high = binomtest(num_arrived, count).proportion_ci(one_deviation, "wilson")
    returns = [1] * num_arrived + [0] * (count - num_arrived)
    assert arrivals(returns).standard_error == pytest.approx((high - low) / 2)


def test_a_rate_of_one_has_errors_and_distances():
    published = PublishedReturn(0.5, 0.5, 100, "mean", "here")
    two_of_two = arrivals([1, 1], published)
    assert two_of_two.standard_error == pytest.approx(1 / 6)
    # By chance one in four arrive twice: no four standard errors.
    assert two_of_two.z == pytest.approx(math.sqrt(2))
    pooled = 52 / 102
    error = math.sqrt(pooled * (1 - pooled) * (1 / 2 + 1 / 100))
    assert two_of_two.z_of_both == pytest.approx(0.5 / error)
    line = policy_returns.as_text(two_of_two).splitlines()[-1]
    assert line.startswith("success rate 1.000 ± 0.167, published 0.5: z 1.4; in stand")
    certain = arrivals([1, 1], PublishedReturn(1.0, 0.0, 100, "mean", "here"))
    assert certain.z is None and certain.z_of_both is None
    few = arrivals([1, 0], PublishedReturn(1.0, 0.0, 100, "mean", "here"))
    assert few.z is None and few.z_of_both < -5


def test_batches_have_goals_of_their_own(policies, monkeypatch):
    goals = []
    make = policy_returns.make_environments

    def noted(task, size):
        batch = make(task, size)
        goals.append(batch)
        return batch

    monkeypatch.setattr(policy_returns, "make_environments", noted)
    task = short("antmaze-umaze-v0")
    result = measure("ant", task, num_episodes=7, num_goals=3)
    assert [batch.num_environments for batch in goals] == [3, 2, 2]
    assert len({tuple(batch.goal) for batch in goals}) == 3
    assert len(result.returns) == 7
    assert result.acting == "mean"  # as published
    assert len(result.batch_means) == 3
    assert "to 3 goal(s)" in policy_returns.as_text(result)
    assert "by goal 0.00 to 0.00, stand" in policy_returns.as_text(result)


def test_the_mean_draws_nothing_and_draws_do(policies, monkeypatch):
    acted = []
    roll_out = policy_returns.roll_out

    def noted(*arguments):
        episodes = roll_out(*arguments)
        acted.append(episodes.actions)
        return episodes

    monkeypatch.setattr(policy_returns, "roll_out", noted)
    for acting in ("mean", "draws"):
        task = short("antmaze-umaze-v0")
        measure("ant", task, num_episodes=4, num_goals=1, acting=acting)
    by_mean, by_draws = acted
    assert np.abs(by_mean).max() < 0.2 < np.abs(by_draws).mean()


def test_one_goal_may_be_given(policies):
    task = short("antmaze-umaze-v0")
    at_the_start = measure("ant", task, num_episodes=3, goal=(0.0, 0.0))
    assert at_the_start.returns.tolist() == [1, 1, 1]
    assert "to 1 goal(s)" in policy_returns.as_text(at_the_start)


def test_one_goal_is_one_however_many_batches_walk_to_it(policies, monkeypatch):
    monkeypatch.setattr(policy_returns, "EPISODES_TOGETHER", 2)
    task = short("antmaze-umaze-v0")
    found = measure("ant", task, num_episodes=5, goal=(0.0, 0.0))
    assert found.returns.tolist() == [1] * 5 and found.batch_means.tolist() == [1]
    assert "to 1 goal(s)" in policy_returns.as_text(found)


@pytest.mark.parametrize(
    ("policy", "task", "numbers", "words"),
    [
        ("ant", "antmaze-large-play-v0", {}, "acts in antmaze-umaze, not in antmaze-l"),
        ("ant", "pen-human-v1", {}, "acts in antmaze-umaze, not in pen"),
        ("narrow", "antmaze-umaze-v0", {}, r"'narrow'.*fc0.weight.*32, 17.*32, 29"),
        ("states", "antmaze-umaze-v0", {}, "is a state model: it does not act"),
        ("ant", "antmaze-umaze-v0", {"goal": (0, 4)}, "lies in a wall of antmaze-um"),
        ("ant", "antmaze-umaze-v0", {"num_goals": 9}, "8 episodes.*to 9 goals"),
        ("ant", "antmaze-umaze-v0", {"num_goals": 2, "goal": (0, 8)}, "choose one"),
        ("ant", "hopper-medium-v2", {"num_goals": 2}, "no goals in a maze"),
        ("ant", "antmaze-umaze-v0", {"num_episodes": 1}, "no standard error"),
    ],
)
def test_bad_input_is_named(policies, policy, task, numbers, words):
    arguments = {"num_episodes": 8, "num_goals": None, **numbers}
    if numbers == {} and "maze" in task:
        arguments["num_goals"] = 1
    with pytest.raises(UserError, match=words):
        measure(policy, short(task), **arguments)


def test_clones_have_no_mean(policies, tmp_path, monkeypatch):
    from tests.support.synthetic_weights import action_model

    named = {"actions-hopper-medium-v2": ("action_model", action_model())}
    publish(monkeypatch, tmp_path / "clones", named)
    task = short("hopper-medium-v2")
    with pytest.raises(UserError, match="no mean to act by"):
        measure(next(iter(named)), task, num_episodes=2, acting="mean")
    assert measure(next(iter(named)), task, num_episodes=2).published is None


def test_a_tanh_gaussian_acts_by_its_squashed_mean(policies, tmp_path, monkeypatch):
    publish(monkeypatch, tmp_path / "sac", {"sac": ("sac_policy", snapshot())})
    task = short("hopper-medium-v2")
    result = measure("sac", task, num_episodes=60, acting="mean")
    assert len(result.batches) == 2
    assert len(result.returns) == 60


def test_every_published_return_is_of_a_listed_policy_that_acts():
    kinds = {"dapg_policy": "mean", "sac_policy": "draws"}
    for name, published in policy_returns.published_returns().items():
        assert published.acting == kinds[catalogue()[name].kind]


TASKS = {
    "antmaze_umaze_dapg_10": "antmaze-umaze-v0",
    "antmaze_umaze_dapg_7": "antmaze-umaze-v0",
    "antmaze_medium_dapg_0": "antmaze-medium-play-v0",
    "antmaze_large_dapg_9": "antmaze-large-play-v0",
    "pen_dapg_2": "pen-human-v1",
    "pen_dapg_10": "pen-human-v1",
}
LOCOMOTION = (
    "hopper_online_1", "hopper_online_3", "hopper_online_6", "hopper_online_9",
    "walker_online_2", "walker_online_5", "walker_online_9",
    "halfcheetah_online_4", "halfcheetah_online_7",
)  # fmt: skip
needs_policies = pytest.mark.skipif(
    not POLICIES.is_dir(), reason="needs ../shared/d4rl/policies"
)


@pytest.fixture
def real_policies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(POLICIES))


@pytest.mark.slow
@needs_policies
@pytest.mark.parametrize("name", TASKS)
def test_policies_acting_by_their_means_return_what_was_published(real_policies, name):
    count = 100 if name.startswith("pen") else 200
    result = measure(name, PROJECT.task(TASKS[name]), num_episodes=count)
    print(policy_returns.as_text(result))
    # A published rate is of one unknown goal and has an error of its own; the pen's
    # returns have one that is not known, of the order of ours.
    assert abs(result.z if result.z_of_both is None else result.z_of_both) <= 2


@pytest.mark.slow
@needs_policies
def test_drawn_actions_do_not_return_what_was_published(real_policies):
    task = PROJECT.task("antmaze-medium-play-v0")
    result = measure("antmaze_medium_dapg_0", task, num_episodes=20, acting="draws")
    assert result.returns.mean() < 0.2


@pytest.mark.slow
@needs_policies
def test_locomotion_policies_drawing_return_what_was_published(real_policies):
    offsets = {}
    for name in LOCOMOTION:
        task = PROJECT.task(f"{catalogue()[name].environment}-medium-v2")
        result = measure(name, task, num_episodes=50)
        print(policy_returns.as_text(result))
        offsets[name] = result.z
    # Two standard errors: one in twenty misses by chance.
    assert sum(abs(offset) <= 2 for offset in offsets.values()) >= 8, offsets
