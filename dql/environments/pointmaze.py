"""Point mazes: Gymnasium-Robotics' force-driven ball with D4RL's fixed goal.

Maze, ball and dynamics are Gymnasium-Robotics' PointMaze (equal step for step, tested).
As in D4RL's maze2d the goal is one cell, the observation is the ball's position and
velocity alone, and an episode goes on at the goal: its return counts the steps there.
Three maps are D4RL's; one is this project's own: two equally good ways to the goal.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mujoco
import numpy as np

from dql.environments.mazes import shortest_ways
from dql.environments.simulation import Simulations, checked_actions, with_seeds
from dql.errors import UserError, nearest

GOAL_RADIUS = 0.45
START_NOISE = 0.25
"""A start is off its cell's centre by up to this much on each axis."""
LARGEST_SPEED = 5.0
"""To which the velocity is clipped before each step, on each axis."""
WALL_HEIGHT = 0.4
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


Cell = tuple[int, int]


@dataclass(frozen=True)
class PointMaze:
    """A map, by Gymnasium-Robotics' name or in rows, and cells by row and column.

    Balls start in `start`; None: in any free cell but the goal. `gates` holds a cell on
    each of the ways of equal length from there to the goal, which no other has.
    """

    layout: str | tuple[str, ...]
    goal: Cell
    start: Cell | None = None
    gates: tuple[Cell, ...] = ()


POINT_MAZES = {
    "pointmaze-umaze": PointMaze("U_MAZE", (1, 1)),
    "pointmaze-medium": PointMaze("MEDIUM_MAZE", (6, 6)),
    "pointmaze-large": PointMaze("LARGE_MAZE", (7, 9)),
    # Not D4RL's: two equally good ways around a pillar, above and below.
    "pointmaze-twoways": PointMaze(
        ("#####", "#   #", "# # #", "#   #", "#####"),
        goal=(2, 3),
        start=(2, 1),
        gates=((1, 2), (3, 2)),
    ),
}


@cache
def maze_map(maze: str) -> np.ndarray:
    """Return where the walls are, (rows, columns); an unknown maze raises."""
    if maze not in POINT_MAZES:
        raise UserError(f"unknown maze {maze!r}{nearest(maze, POINT_MAZES)}")
    layout = POINT_MAZES[maze].layout
    if not isinstance(layout, str):
        return np.array([list(row) for row in layout]) == "#"
    from gymnasium_robotics.envs.maze import maps

    return np.array(getattr(maps, layout)) == 1


def centers(maze: str, cells: np.ndarray) -> np.ndarray:
    """Return the positions (n, 2) of cells given by row and column, (n, 2)."""
    num_rows, num_columns = maze_map(maze).shape
    cells = np.asarray(cells)
    x = cells[..., 1] + 0.5 - num_columns / 2
    y = num_rows / 2 - cells[..., 0] - 0.5
    return np.stack((x, y), axis=-1)


def cells_at(maze: str, positions: np.ndarray) -> np.ndarray:
    """Return the row and column (n, 2) of the cells that positions (n, 2) are in."""
    num_rows, num_columns = maze_map(maze).shape
    rows = np.floor(num_rows / 2 - positions[..., 1]).astype(int)
    columns = np.floor(positions[..., 0] + num_columns / 2).astype(int)
    return np.stack((rows, columns), axis=-1)


def free_cells(maze: str) -> np.ndarray:
    """Return the row and column of every cell without a wall, (n, 2)."""
    return np.argwhere(~maze_map(maze))


def start_cells(maze: str) -> np.ndarray:
    """Return the row and column of every cell where a ball may start, (n, 2)."""
    if POINT_MAZES[maze].start:
        return np.array([POINT_MAZES[maze].start])
    cells = free_cells(maze)
    return cells[(cells != POINT_MAZES[maze].goal).any(axis=1)]


@cache
def next_cells(maze: str) -> np.ndarray:
    """Return the next cell on a shortest way, (R, C, R, C, 2): [goal][cell]."""
    return shortest_ways(maze_map(maze), MOVES)


@cache
def ways_to_goal(maze: str) -> np.ndarray:
    """Return the next cell on each of the ways to the goal, (W, R, C, 2).

    A way is the shortest one where the other ways' gates are walls.
    """
    goal, gates = POINT_MAZES[maze].goal, POINT_MAZES[maze].gates
    tables = []
    for own in gates:
        walls = maze_map(maze).copy()
        for gate in set(gates) - {own}:
            walls[gate] = True
        tables.append(shortest_ways(walls, MOVES)[goal])
    return np.stack(tables)


def way_taken(maze: str, positions: np.ndarray) -> int | None:
    """Return which way a path (T, 2) goes: whose gate it enters first; None: none's."""
    cells = cells_at(maze, positions)
    entered = [(cells == gate).all(axis=1) for gate in POINT_MAZES[maze].gates]
    first = [int(inside.argmax()) if inside.any() else len(cells) for inside in entered]
    return int(np.argmin(first)) if min(first) < len(cells) else None


def point_maze_xml(maze: str) -> str:
    """Return the MJCF of the ball in a maze."""
    import gymnasium_robotics.envs.assets as package

    folder = Path(package.__path__[0])
    root = ElementTree.fromstring((folder / "point" / "point.xml").read_text())
    world = root.find("worldbody")
    for x, y in centers(maze, np.argwhere(maze_map(maze))):
        wall = {
            "type": "box",
            "pos": f"{x} {y} {WALL_HEIGHT / 2}",
            "size": f"0.5 0.5 {WALL_HEIGHT / 2}",
        }
        ElementTree.SubElement(world, "geom", wall, contype="1", conaffinity="1")
    return ElementTree.tostring(root, encoding="unicode")


class PointMazeEnvironment:
    """A batch of balls in one maze; reward 1 for every step at the goal."""

    observation_dim = 4
    action_dim = 2
    is_shareable = True

    def __init__(self, maze: str, num_environments: int, *, horizon: int) -> None:
        model = mujoco.MjModel.from_xml_string(point_maze_xml(maze))
        self.num_environments = num_environments
        self.horizon = horizon
        self.goal = centers(maze, np.array(POINT_MAZES[maze].goal))
        self._starts = centers(maze, start_cells(maze))
        self._simulations = Simulations(model, num_environments, frame_skip=1)
        self._elapsed = np.zeros(num_environments, dtype=np.int64)

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Put balls at rest near the centre of a start cell."""
        pairs = with_seeds(seeds, self.num_environments, chosen)
        for index, seed in pairs:
            generator = np.random.default_rng(seed)
            noise = generator.uniform(-START_NOISE, START_NOISE, 2)
            start = self._starts[generator.integers(len(self._starts))]
            self._simulations.place(index, start + noise, np.zeros(2))
            self._elapsed[index] = 0
        return self._observations()

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes; none ever terminates (see `BatchEnvironment`)."""
        active = np.asarray(active, dtype=bool)
        actions = np.clip(checked_actions(actions, active, self.action_dim), -1, 1)
        self._simulations.advance(actions, active, LARGEST_SPEED)
        self._elapsed[active] += 1
        offsets = self._simulations.positions - self.goal
        is_there = np.linalg.norm(offsets, axis=1) <= GOAL_RADIUS
        rewards = (active & is_there).astype(np.float64)
        truncations = active & (self._elapsed >= self.horizon)
        return self._observations(), rewards, np.zeros_like(active), truncations

    def _observations(self) -> np.ndarray:
        simulations = self._simulations
        return np.concatenate((simulations.positions, simulations.velocities), axis=1)
