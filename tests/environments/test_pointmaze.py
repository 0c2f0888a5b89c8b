"""Point mazes: Gymnasium-Robotics' ball, D4RL's goal, and ways that avoid walls."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dql.environments import pointmaze
from dql.environments.batch import make_environments
from dql.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MAZES = list(pointmaze.POINT_MAZES)


def make(maze: str, num_environments: int, horizon: int = 300):
    """Make a batch through the same function as everyone."""
    task = SimpleNamespace(
        name="task", environment=maze, horizon=horizon, physics="d4rl"
    )
    return make_environments(task, num_environments)


@pytest.mark.parametrize("maze", MAZES)
def test_steps_equal_gymnasium_robotics(maze: str, monkeypatch, tmp_path) -> None:
    point_maze = pytest.importorskip("gymnasium_robotics.envs.maze.point_maze")
    maps = pytest.importorskip("gymnasium_robotics.envs.maze.maps")
    # Gymnasium-Robotics leaves its model in the temporary folder.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    layout = pointmaze.POINT_MAZES[maze].layout
    own = pointmaze.maze_map(maze).astype(int).tolist()
    known = getattr(maps, layout) if isinstance(layout, str) else own
    reference = point_maze.PointMazeEnv(maze_map=known)
    reference.reset(seed=0)
    reference.goal = make(maze, 1).goal
    batch, active = make(maze, 2), np.ones(2, dtype=bool)
    observations = batch.reset([3, 4])
    reference.point_env.set_state(observations[1, :2], observations[1, 2:])
    # Near the goal in one maze at least, and against walls.
    generator = np.random.default_rng(0)
    touched = False
    for _ in range(200):
        actions = np.clip(generator.normal(0.3, 0.7, (2, 2)), -1, 1)
        observations, rewards, terminations, _ = batch.step(actions, active)
        expected, reward, terminated, _, _ = reference.step(actions[1])
        np.testing.assert_allclose(observations[1], expected["observation"], atol=1e-9)
        assert rewards[1] == reward
        assert not terminations.any() and not terminated
        touched |= reference.point_env.data.ncon > 0
    assert touched


@pytest.mark.parametrize("maze", MAZES)
def test_cells_and_positions_agree_and_the_goal_is_free(maze: str) -> None:
    cells = pointmaze.free_cells(maze)
    positions = pointmaze.centers(maze, cells)
    for offset in (-0.45, 0.0, 0.45):
        np.testing.assert_array_equal(
            pointmaze.cells_at(maze, positions + offset), cells
        )
    assert not pointmaze.maze_map(maze)[pointmaze.POINT_MAZES[maze].goal]


@pytest.mark.parametrize("maze", MAZES)
def test_every_free_cell_leads_to_the_goal_through_free_cells(maze: str) -> None:
    goal = pointmaze.POINT_MAZES[maze].goal
    following = pointmaze.next_cells(maze)[goal]
    for cell in pointmaze.free_cells(maze):
        path = [tuple(cell)]
        while path[-1] != goal:
            path.append(tuple(int(i) for i in following[path[-1]]))
            assert len(path) <= len(pointmaze.free_cells(maze))
            assert not pointmaze.maze_map(maze)[path[-1]]
            assert np.abs(np.subtract(path[-1], path[-2])).sum() == 1


def test_an_episode_depends_on_its_seed_only_and_starts_off_the_goal() -> None:
    together, alone = make("pointmaze-umaze", 20), make("pointmaze-umaze", 1)
    starts = together.reset(list(range(20)))
    np.testing.assert_array_equal(starts[7:8], alone.reset([7]))
    assert len(np.unique(starts[:, :2], axis=0)) == 20
    assert (np.linalg.norm(starts[:, :2] - together.goal, axis=1) > 0.5).all()
    assert not starts[:, 2:].any()


def test_the_goal_pays_every_step_and_the_horizon_truncates() -> None:
    batch = make("pointmaze-umaze", 2, horizon=3)
    batch.reset([0, 1])
    batch._simulations.place(0, batch.goal + 0.2, np.zeros(2))
    for step in (1, 2, 3):
        results = batch.step(np.zeros((2, 2)), np.ones(2, dtype=bool))
        np.testing.assert_array_equal(results[1], [1, 0])
        assert not results[2].any() and (results[3] == (step == 3)).all()
    # One that rests earns nothing, wherever it is.
    batch.reset([0, 1])
    batch._simulations.place(0, batch.goal, np.zeros(2))
    assert not batch.step(np.zeros((2, 2)), np.array([False, True]))[1].any()


def test_unknown_mazes_are_named() -> None:
    with pytest.raises(UserError, match="'pointmaze-umace'.*pointmaze-umaze"):
        pointmaze.maze_map("pointmaze-umace")


def test_two_ways_are_equally_long_and_each_goes_through_its_own_gate() -> None:
    maze = "pointmaze-twoways"
    own = pointmaze.POINT_MAZES[maze]
    tables = pointmaze.ways_to_goal(maze)
    paths = []
    for table in tables:
        path = [own.start]
        while path[-1] != own.goal:
            path.append(tuple(int(i) for i in table[path[-1]]))
        paths.append(path)
    assert [len(path) for path in paths] == [5, 5]
    for number, path in enumerate(paths):
        assert [gate in path for gate in own.gates] == [number == 0, number == 1]
        positions = pointmaze.centers(maze, np.array(path))
        assert pointmaze.way_taken(maze, positions) == number
        turned = np.concatenate((positions, positions[::-1], positions))
        assert pointmaze.way_taken(maze, turned) == number
    assert pointmaze.way_taken(maze, positions[:2]) is None


def test_two_ways_begin_in_their_one_start_cell() -> None:
    batch = make("pointmaze-twoways", 20)
    cells = pointmaze.cells_at("pointmaze-twoways", batch.reset(range(20))[:, :2])
    np.testing.assert_array_equal(cells, np.tile((2, 1), (20, 1)))
