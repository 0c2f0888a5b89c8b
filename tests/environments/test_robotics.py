"""AntMaze, pen and kitchen: D4RL's rules on today's simulators."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dql.environments import antmaze, antmaze_maps
from dql.environments import batch as environments
from dql.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
HORIZONS = {
    "antmaze-umaze": 700,
    "antmaze-large": 1000,
    "pen": 100,
    "kitchen-complete": 280,
    "kitchen-mixed": 280,
}
DIMENSIONS = {"antmaze": (29, 8), "pen": (45, 24), "kitchen": (60, 9)}


def make(name: str, num_environments: int, **kwargs) -> environments.BatchEnvironment:
    """Make a batch through the same function as everyone."""
    fields = {"horizon": HORIZONS[name], "physics": "d4rl"} | kwargs
    task = SimpleNamespace(name="task", environment=name, **fields)
    return environments.make_environments(task, num_environments)


def roll(batch: environments.BatchEnvironment, seeds: list[int], rows: slice) -> tuple:
    """Take five steps with actions that depend on the episode's seed only."""
    observations, rewards = [batch.reset(seeds)], []
    active = np.ones(len(seeds), dtype=bool)
    streams = [np.random.default_rng(seed) for seed in seeds]
    for _ in range(5):
        actions = np.array([s.uniform(-1, 1, batch.action_dim) for s in streams])
        observation, reward, _, _ = batch.step(actions, active)
        observations.append(observation)
        rewards.append(reward)
    return np.stack(observations)[:, rows], np.stack(rewards)[:, rows]


@pytest.mark.parametrize("name", ["antmaze-umaze", "pen", "kitchen-complete"])
def test_an_episode_depends_on_its_seed_only(name: str) -> None:
    together = roll(make(name, 3), [4, 5, 6], slice(0, 2))
    alone = roll(make(name, 2), [4, 5], slice(0, 2))
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_array_equal(first, second)
    dimensions = DIMENSIONS[name.partition("-")[0]]
    batch = make(name, 1)
    assert (batch.observation_dim, batch.action_dim) == dimensions
    assert together[0].shape[-1] == dimensions[0]


@pytest.mark.parametrize("name", ["antmaze-umaze", "pen", "kitchen-complete"])
def test_inactive_episodes_rest_and_the_horizon_truncates(name: str) -> None:
    batch = make(name, 2, horizon=2)
    start = batch.reset([0, 1])
    actions = np.zeros((2, batch.action_dim))
    results = batch.step(actions, np.array([True, False]))
    np.testing.assert_array_equal(results[0][1], start[1])
    assert results[1][1] == 0 and not results[3].any()
    truncations = batch.step(actions, np.ones(2, dtype=bool))[3]
    np.testing.assert_array_equal(truncations, [True, False])


# AntMaze.


def test_mazes_have_the_start_at_the_origin_and_the_goal_where_d4rl_puts_it() -> None:
    for maze, goal in (("umaze", (0, 8)), ("medium", (20, 20)), ("large", (32, 24))):
        name = f"antmaze-{maze}"
        for mark, position in (("R", (0, 0)), ("G", goal)):
            cell = antmaze_maps.marked(name, mark)
            np.testing.assert_array_equal(antmaze_maps.centers(name, cell), [position])
        goals = np.array([antmaze.draw_goal(name, seed) for seed in range(200)])
        assert (goals >= goal).all() and (goals <= np.array(goal) + 1.5).all()
        # The mean of a uniform draw up to 1 and one up to 0.5.
        np.testing.assert_allclose(goals.mean(axis=0), np.array(goal) + 0.75, atol=0.1)


def test_the_goal_stays_once_drawn() -> None:
    batch = make("antmaze-umaze", 2)
    batch.reset([3, 4])
    goal = batch.goal.copy()
    batch.reset([5, 6])
    np.testing.assert_array_equal(batch.goal, goal)
    other = make("antmaze-umaze", 1)
    other.reset([5])
    assert not np.array_equal(other.goal, goal)


def test_an_ant_at_the_goal_earns_one_and_ends() -> None:
    batch = make("antmaze-umaze", 2)
    batch.reset([0, 1])
    simulations = batch._simulations
    position = simulations.positions[0].copy()
    position[:2] = batch.goal + [0.3, 0.3]
    simulations.place(0, position, np.zeros(simulations.model.nv))
    results = batch.step(np.zeros((2, 8)), np.ones(2, dtype=bool))
    np.testing.assert_array_equal(results[1], [1.0, 0.0])
    np.testing.assert_array_equal(results[2], [True, False])


def test_walls_stop_the_ant_and_the_way_is_free() -> None:
    batch = make("antmaze-umaze", 1)
    batch.reset([0])
    simulations = batch._simulations
    for cell, is_wall in (((4, 0), False), ((0, 4), True), ((8, 4), False)):
        position = simulations.initial_position.copy()
        position[:2] = cell
        simulations.place(0, position, np.zeros(simulations.model.nv))
        touching = simulations._data[0].ncon > 0
        assert touching == is_wall, cell


def test_torques_are_d4rls() -> None:
    model = make("antmaze-umaze", 1)._simulations.model
    assert set(model.actuator_gear[:, 0]) == {1.0}
    np.testing.assert_array_equal(model.actuator_ctrlrange, [[-30, 30]] * 8)
    assert model.opt.timestep * antmaze.FRAME_SKIP == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("goal", "is_free"),
    [((0.0, 8.0), True), ((9.9, -1.9), True), ((0.0, 4.0), False), ((-3.0, 0.0), False),
     ((40.0, 0.0), False), ((float("nan"), 0.0), False)],
)  # fmt: skip
def test_a_goal_may_be_given_but_not_in_a_wall(goal, is_free) -> None:
    arguments = {"horizon": 5, "goal": np.array(goal)}
    if not is_free:
        with pytest.raises(UserError, match=r"\(.*a wall of antmaze-umaze.*\(8, 4\)"):
            antmaze.AntMazeEnvironment("antmaze-umaze", 1, **arguments)
        return
    batch = antmaze.AntMazeEnvironment("antmaze-umaze", 1, **arguments)
    batch.reset([0])
    np.testing.assert_array_equal(batch.goal, goal)


def test_a_horizon_of_zero_is_refused() -> None:
    with pytest.raises(UserError, match="antmaze-umaze: a horizon of 0"):
        make("antmaze-umaze", 1, horizon=0)


@pytest.mark.parametrize("name", sorted(antmaze_maps.MAZES))
def test_positions_are_in_the_cells_they_are_drawn_in(name) -> None:
    cells = antmaze_maps.free_cells(name)
    found = antmaze_maps.centers(name, cells)
    offsets = np.random.default_rng(0).uniform(-1.99, 1.99, found.shape)
    np.testing.assert_array_equal(antmaze_maps.cells_at(name, found + offsets), cells)


def test_the_way_through_the_u_is_its_only_one() -> None:
    table = antmaze_maps.next_cells("antmaze-umaze")
    way, goal = [(1, 1)], (3, 1)
    while way[-1] != goal:
        way.append(tuple(table[goal][way[-1]]))
    assert way == [(1, 1), (1, 2), (1, 3), (2, 3), (3, 3), (3, 2), (3, 1)]
    assert tuple(table[goal][(0, 0)]) == (0, 0)  # no free cell is beside it


def test_ways_are_shortest_in_every_maze() -> None:
    for name in antmaze_maps.MAZES:
        table, cells = antmaze_maps.next_cells(name), antmaze_maps.free_cells(name)
        for goal in map(tuple, cells):
            lengths = {goal: 0}
            for start in map(tuple, cells):
                way = [start]
                while way[-1] != goal:
                    way.append(tuple(table[goal][way[-1]]))
                lengths[start] = len(way) - 1
            for row, column in lengths:
                # A neighbour cannot be two steps nearer or farther.
                for cell in ((row + 1, column), (row, column + 1)):
                    step = abs(lengths[row, column] - lengths.get(cell, np.inf))
                    assert step == np.inf or step == 1


def test_unknown_mazes_are_named() -> None:
    with pytest.raises(UserError, match="'antmaze-larg'.*antmaze-large"):
        make("antmaze-large", 1)
        antmaze.ant_maze_xml("antmaze-larg", "d4rl")


# Pen.


def test_the_pen_is_gymnasiums_with_d4rls_end() -> None:
    pen = pytest.importorskip("gymnasium_robotics.envs.adroit_hand.adroit_pen")
    batch, seeds = make("pen", 2), [7, 8]
    observations = batch.reset(seeds)
    references = [pen.AdroitHandPenEnv() for _ in seeds]
    for index, reference in enumerate(references):
        expected, _ = reference.reset(seed=seeds[index])
        np.testing.assert_array_equal(observations[index], expected)
    active, has_fallen = np.ones(2, dtype=bool), False
    generator = np.random.default_rng(0)
    for _ in range(100):
        actions = generator.uniform(-1, 1, (2, 24))
        results = batch.step(actions, active)
        for index in np.flatnonzero(active):
            expected, reward, *_ = references[index].step(actions[index])
            np.testing.assert_array_equal(results[0][index], expected)
            assert results[1][index] == reward
            height = references[index].data.xpos[references[index].obj_body_id][2]
            assert results[2][index] == (height < 0.075)
        has_fallen |= results[2].any()
        active &= ~(results[2] | results[3])
    assert not active.any()
    assert has_fallen


# Kitchen.


def test_the_kitchen_shows_positions_and_the_goal() -> None:
    batch = make("kitchen-mixed", 2)
    observations = batch.reset([0, 1])
    goal = np.zeros(30)
    goal[[11, 12, 17, 18, 22]] = [-0.88, -0.01, -0.69, -0.05, -0.75]
    goal[23:] = [-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06]
    np.testing.assert_array_equal(observations[:, 30:], [goal, goal])
    positions = batch._data[1].qpos
    np.testing.assert_allclose(observations[1, :30], positions, atol=0.06)
    assert not np.array_equal(observations[0, :30], observations[1, :30])


def test_a_kitchen_task_counts_once_and_all_four_end_the_episode() -> None:
    batch = make("kitchen-complete", 1)
    batch.reset([0])
    active, actions = np.ones(1, dtype=bool), np.zeros((1, 9))
    data, goal = batch._data[0], batch._goal
    assert batch.step(actions, active)[1][0] == 0
    elements = batch._elements
    data.qpos[elements["microwave"]] = goal[elements["microwave"]]
    assert batch.step(actions, active)[1][0] == 1
    assert batch.step(actions, active)[1][0] == 0
    for task in ("kettle", "light switch", "slide cabinet"):
        data.qpos[elements[task]] = goal[elements[task]]
        data.qvel[:] = 0
    results = batch.step(actions, active)
    assert results[1][0] == 3 and results[2][0]
    # A new episode starts with all four tasks open.
    batch.reset([0])
    assert not batch.step(actions, active)[2][0]
