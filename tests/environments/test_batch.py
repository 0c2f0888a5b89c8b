"""The lean environments equal Gymnasium's, step for step and seed for seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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


SHAREABLE = {
    "hopper": True,
    "antmaze-umaze": True,
    "pointmaze-umaze": True,
    "pen": False,
    "kitchen-complete": False,
}


@pytest.mark.parametrize("name", [n for n, shared in SHAREABLE.items() if shared])
def test_threads_that_step_disjoint_episodes_change_nothing(name: str) -> None:
    num_episodes, num_steps, num_threads = 9, 30, 3
    results = []
    for threads in (1, num_threads):
        fields = {"environment": name, "horizon": 1000, "physics": "d4rl"}
        batch = environments.make_environments(
            SimpleNamespace(name="task", **fields), num_episodes
        )
        batch.reset(list(range(num_episodes)))
        shape = (num_steps, num_episodes, batch.action_dim)
        actions = np.random.default_rng(0).uniform(-1, 1, shape)
        found = [np.zeros((num_steps, num_episodes, batch.observation_dim))]
        found += [np.zeros((num_steps, num_episodes)) for _ in range(3)]

        def play(rows: np.ndarray, batch=batch, actions=actions, found=found) -> None:
            active = np.isin(np.arange(num_episodes), rows)
            for time in range(num_steps):
                outcome = batch.step(actions[time], active)
                for kept, values in zip(found, outcome, strict=True):
                    kept[time, rows] = values[rows]

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(play, np.array_split(np.arange(num_episodes), threads)))
        results.append(found)
    for alone, shared in zip(*results, strict=True):
        np.testing.assert_array_equal(alone, shared)


@pytest.mark.parametrize("name", SHAREABLE)
def test_environments_say_whether_threads_may_share_them(name: str) -> None:
    batch = environments.make_environments(task(environment=name), 1)
    assert batch.is_shareable == SHAREABLE[name]
