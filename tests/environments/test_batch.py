"""The lean environments equal Gymnasium's, step for step and seed for seed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import mujoco
import numpy as np
import pytest

from dql.environments import batch as environments
from dql.environments import locomotion
from dql.environments.physics import load_model
from dql.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:.*out of date")
NAMES = sorted(locomotion.LOCOMOTION)
D4RL = Path(__file__).parents[3] / "shared" / "d4rl"
PUBLISHED = D4RL / "deep_ope_policy_returns.json"
needs_policies = pytest.mark.skipif(
    not PUBLISHED.is_file(), reason="needs ../shared/d4rl/deep_ope_policy_returns.json"
)
NUM_POLICY_EPISODES = 50


def make(name: str, num_environments: int, **kwargs) -> object:
    """Make a batch in stock physics unless told otherwise."""
    kwargs = {"physics": "stock"} | kwargs
    return locomotion.LocomotionEnvironment(name, num_environments, **kwargs)


def gymnasium_reference(name: str, physics: str) -> gymnasium.Env:
    """Make Gymnasium's v4 environment, with its model swapped for D4RL's physics."""
    reference = gymnasium.make(locomotion.LOCOMOTION[name].gymnasium_id)
    if physics == "d4rl":
        model = load_model(name, "d4rl")
        reference.unwrapped.model = model
        reference.unwrapped.data = mujoco.MjData(model)
    return reference


@pytest.mark.parametrize("physics", ["stock", "d4rl"])
@pytest.mark.parametrize("name", NAMES)
def test_steps_and_rewards_equal_gymnasium(name: str, physics: str) -> None:
    seeds = [11, 12, 13]
    batch = make(name, len(seeds), physics=physics)
    observations = batch.reset(seeds)
    active = np.ones(len(seeds), dtype=bool)
    references = [gymnasium_reference(name, physics) for _ in seeds]
    for reference, seed, first in zip(references, seeds, observations, strict=True):
        np.testing.assert_allclose(reference.reset(seed=seed)[0], first, atol=1e-12)
    generator = np.random.default_rng(0)
    for _ in range(150):
        actions = generator.uniform(-1, 1, (len(seeds), batch.action_dim))
        actions = actions.astype(np.float32)
        was_active = active.copy()
        observations, rewards, terminations, truncations = batch.step(actions, active)
        for index in np.flatnonzero(was_active):
            expected = references[index].step(actions[index])
            np.testing.assert_allclose(observations[index], expected[0], atol=1e-12)
            assert rewards[index] == pytest.approx(expected[1], abs=1e-12)
            assert terminations[index] == expected[2]
        active &= ~(terminations | truncations)
    assert batch.observation_dim == references[0].observation_space.shape[0]


def test_an_episode_does_not_depend_on_its_company() -> None:
    together, alone = make("hopper", 3), make("hopper", 1)
    observations = together.reset([5, 6, 7])
    np.testing.assert_array_equal(observations[1:2], alone.reset([6]))
    actions = np.full((3, 3), 0.1)
    for _ in range(5):
        observations = together.step(actions, np.ones(3, dtype=bool))[0]
        expected = alone.step(actions[:1], np.ones(1, dtype=bool))[0]
        np.testing.assert_array_equal(observations[1:2], expected)


def test_a_reset_forgets_the_episode_before() -> None:
    batch = make("walker2d", 2)
    first = batch.reset([1, 2])
    for _ in range(3):
        batch.step(np.ones((2, 6)), np.ones(2, dtype=bool))
    np.testing.assert_array_equal(batch.reset([1, 2]), first)


@pytest.mark.parametrize(
    ("environment", "extra"),
    [
        *[(name, {}) for name in ("hopper", "pointmaze-umaze", "antmaze-umaze")],
        ("bandit", {"layout": "axes"}),
    ],
)
def test_one_episode_starts_anew_and_the_others_go_on(environment, extra) -> None:
    """The seed alone decides a start, whenever it is; a rest of the batch is left."""
    task = SimpleNamespace(
        name="t", environment=environment, horizon=50, physics="d4rl", **extra
    )
    left, right = (environments.make_environments(task, 3) for _ in range(2))
    actions = np.full((3, left.action_dim), 0.3)
    everyone = np.ones(3, dtype=bool)
    for batch in (left, right):
        batch.reset([1, 2, 3])
    for _ in range(4):
        before = left.step(actions, everyone)[0]
    observations = left.reset([9], [1])
    others = [0, 2]
    np.testing.assert_array_equal(observations[others], before[others])
    right.reset([1, 9, 3])
    first = left.step(actions, np.array([False, True, False]))
    second = right.step(actions, np.array([False, True, False]))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[1], other[1])
    if left.horizon > 4:  # only the clock of the new episode began again
        for _ in range(46):
            ended = left.step(actions, everyone)[3]
        np.testing.assert_array_equal(ended, [True, False, True])
    with pytest.raises(ValueError):
        left.reset([9, 8], [1])


def test_the_horizon_truncates_without_terminating() -> None:
    batch = make("halfcheetah", 2, horizon=3)
    batch.reset([0, 1])
    for expected in (False, False, True):
        ended = batch.step(np.zeros((2, 6)), np.ones(2, dtype=bool))[2:]
        assert not ended[0].any()
        assert (ended[1] == expected).all()


def test_an_inactive_episode_rests() -> None:
    batch = make("hopper", 2, horizon=2)
    start = batch.reset([0, 1])
    results = batch.step(np.zeros((2, 3)), np.array([True, False]))
    np.testing.assert_array_equal(results[0][1], start[1])
    assert not np.array_equal(results[0][0], start[0])
    assert results[1][1] == 0 and not results[2][1] and not results[3][1]
    # Its clock rests as well: only the other one reaches the horizon.
    truncations = batch.step(np.zeros((2, 3)), np.ones(2, dtype=bool))[3]
    np.testing.assert_array_equal(truncations, [True, False])


def test_bad_actions_are_refused() -> None:
    batch = make("hopper", 2)
    batch.reset([0, 1])
    with pytest.raises(ValueError, match=r"\(2, 2\), expected \(2, 3\)"):
        batch.step(np.zeros((2, 2)), np.ones(2, dtype=bool))
    actions = np.zeros((2, 3))
    actions[1, 0] = np.nan
    with pytest.raises(UserError, match="episode 1 is not finite"):
        batch.step(actions, np.ones(2, dtype=bool))
    batch.step(actions, np.array([True, False]))
    with pytest.raises(ValueError, match="1 seeds, 2 episodes"):
        batch.reset([0])


def task(**kwargs) -> SimpleNamespace:
    """Stand in for the fields of a task that environments need."""
    return SimpleNamespace(name="some-task", horizon=7, physics="d4rl", **kwargs)


def test_tasks_get_their_environment_or_an_error_that_names_it() -> None:
    batch = environments.make_environments(task(environment="hopper"), 2)
    assert (batch.num_environments, batch.horizon) == (2, 7)
    with pytest.raises(UserError, match="some-task.*'hoper'.*hopper"):
        environments.make_environments(task(environment="hoper"), 1)


def test_gymnasium_rebuilds_the_environment_from_its_spec() -> None:
    spec = locomotion.environment_spec("hopper", "d4rl", horizon=3)
    rebuilt = gymnasium.make(type(spec).from_json(spec.to_json()))
    lean = make("hopper", 1, physics="d4rl", horizon=3)
    np.testing.assert_array_equal(rebuilt.reset(seed=4)[0], lean.reset([4])[0])
    for _ in range(3):
        expected = rebuilt.step(np.full(3, 0.5))
        actual = lean.step(np.full((1, 3), 0.5), np.ones(1, dtype=bool))
        np.testing.assert_allclose(actual[0][0], expected[0], atol=1e-12)
    assert actual[3][0] and expected[3]


def policy_returns(name: str, environment: str) -> np.ndarray:
    """Roll out a tanh-Gaussian policy of D4RL's authors; return its returns."""
    with np.load(D4RL / "policies" / f"{name}.npz") as file:
        weights = {
            key: file[key].astype(np.float64)
            for key in file
            if file[key].dtype == np.float32
        }

    def layer(inputs: np.ndarray, layer_name: str) -> np.ndarray:
        weight = weights[f"{layer_name}.weight"]
        return inputs @ weight.T + weights[f"{layer_name}.bias"]

    batch = make(environment, NUM_POLICY_EPISODES, physics="d4rl")
    observations = batch.reset(list(range(NUM_POLICY_EPISODES)))
    generator = np.random.default_rng(0)
    active = np.ones(NUM_POLICY_EPISODES, dtype=bool)
    returns = np.zeros(NUM_POLICY_EPISODES)
    while active.any():
        hidden = np.maximum(layer(observations, "fc0"), 0)
        hidden = np.maximum(layer(hidden, "fc1"), 0)
        means = layer(hidden, "last_fc")
        stds = np.exp(np.clip(layer(hidden, "last_fc_log_std"), -5, 2))
        actions = np.tanh(means + stds * generator.standard_normal(means.shape))
        outcome = batch.step(actions.astype(np.float32), active)
        observations, rewards, terminations, truncations = outcome
        returns += rewards
        active &= ~(terminations | truncations)
    return returns


@pytest.mark.slow
@needs_policies
def test_policies_of_d4rls_authors_return_what_was_published() -> None:
    published = {
        row["policy"]: row["published_return_mean"]
        for row in json.loads(PUBLISHED.read_text())["policies"]
    }
    environments_of = {
        "hopper": "hopper",
        "walker": "walker2d",
        "halfcheetah": "halfcheetah",
    }
    offsets = {}
    for name, expected in published.items():
        environment = environments_of.get(name.partition("_")[0])
        if environment:
            returns = policy_returns(name, environment)
            error = returns.std(ddof=1) / np.sqrt(len(returns))
            offsets[name] = (returns.mean() - expected) / error
            print(f"{name}: {returns.mean():.1f} ± {error:.1f}, published {expected}")
    assert len(offsets) == 9
    # Two standard errors: one in twenty misses by chance.
    assert sum(abs(offset) <= 2 for offset in offsets.values()) >= 8, offsets
