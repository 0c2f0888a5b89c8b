"""The mazes of D4RL's AntMaze: walls, free cells, goals, and shortest ways.

Positions are in maze units with the start cell's centre at the origin, x along columns
and y along rows; a cell's side is 4.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dql.environments.mazes import shortest_ways
from dql.errors import UserError, nearest

MAZES = {
    "antmaze-umaze": ("#####", "#R  #", "### #", "#G  #", "#####"),
    "antmaze-medium": (
        "########",
        "#R ##  #",
        "#  #   #",
        "##   ###",
        "#  #   #",
        "# #  # #",
        "#   # G#",
        "########",
    ),
    "antmaze-large": (
        "############",
        "#R   #     #",
        "# ## # # # #",
        "#      #   #",
        "# #### ### #",
        "#  # #     #",
        "## # # # ###",
        "#  #   # G #",
        "############",
    ),
}
"""Walls #, start R and goal G, as D4RL evaluates; rows run along y, columns along x."""

HAND_PICKED_GOALS = {
    "antmaze-umaze": ((3, 1),),
    "antmaze-medium": ((2, 6), (5, 1), (6, 5)),
    "antmaze-large": (
        (1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6), (7, 9),
    ),
}  # fmt: skip
"""Row and column of the goals that D4RL marked in the maps it generated data in."""

CELL_SIZE = 4.0
GOAL_NOISES = (1.0, 0.5)
"""D4RL adds two uniform draws to the goal cell's position, on each axis."""
START_NOISES = (1.0,)
"""The same for starts in other cells than R."""
WAYPOINT_NOISES = (1.0,)
"""The same for the next cell on the way, at every step."""
LOWEST_POSITION = 1e-4
"""On either axis, where D4RL looks up an ant's cell."""

MOVES = ((0, -1), (0, 1), (1, 0), (-1, 0))
"""In D4RL's order, which decides between ways of equal length."""


def maze_rows(maze: str) -> tuple[str, ...]:
    """Return a maze's rows of characters; an unknown maze raises."""
    if maze not in MAZES:
        raise UserError(f"unknown maze {maze!r}{nearest(maze, MAZES)}")
    return MAZES[maze]


def marked(maze: str, marks: str) -> np.ndarray:
    """Return row and column of the cells with one of the marks, (n, 2)."""
    rows = np.array([list(row) for row in maze_rows(maze)])
    return np.argwhere(np.isin(rows, list(marks)))


def free_cells(maze: str) -> np.ndarray:
    """Return row and column of every cell without a wall, (n, 2)."""
    return marked(maze, "RG ")


def centers(maze: str, cells: np.ndarray) -> np.ndarray:
    """Return the centres (..., 2) of cells (..., 2) given by row and column."""
    offsets = np.asarray(cells) - marked(maze, "R")[0]
    return CELL_SIZE * offsets[..., ::-1].astype(np.float64)


def cells_at(maze: str, positions: np.ndarray, num_parts: int = 1) -> np.ndarray:
    """Return row and column (..., 2) of the cells that positions (..., 2) are in.

    Or of their parts, where a cell's side is divided into several.
    """
    offsets = np.asarray(positions)[..., ::-1] / CELL_SIZE + 0.5
    return np.floor(num_parts * (offsets + marked(maze, "R")[0])).astype(int)


def lagging_cells(maze: str, positions: np.ndarray) -> np.ndarray:
    """Return row and column (..., 2) of the cells that D4RL takes positions to be in.

    It rounds down where it should round to the nearest: an ant counts as in a cell
    until it is past the centre of the next, which may be the other side of a corner.
    """
    shifted = np.maximum(positions, LOWEST_POSITION)
    columns_rows = np.floor(shifted / CELL_SIZE).astype(int)
    return columns_rows[..., ::-1] + marked(maze, "R")[0]


def check_goal(maze: str, goal: np.ndarray) -> np.ndarray:
    """Return a goal (2,) that an ant can reach; one in a wall or outside raises."""
    goal = np.asarray(goal, dtype=np.float64)
    cell = cells_at(maze, goal) if np.isfinite(goal).all() else np.array((-1, -1))
    if not (free_cells(maze) == cell).all(axis=1).any():
        known = ", ".join(f"({x:g}, {y:g})" for x, y in centers(maze, free_cells(maze)))
        raise UserError(
            f"goal ({goal[0]:g}, {goal[1]:g}) lies in a wall of {maze} or outside; the "
            f"free cells' centres, 2 to each side: {known}"
        )
    return goal


def noisy(
    positions: np.ndarray, generator: np.random.Generator, largest: tuple[float, ...]
) -> np.ndarray:
    """Add a uniform draw for each of the largest values, on each axis, as D4RL does.

    The draws are not negative, and neither is what comes out.
    """
    for bound in largest:
        positions = positions + generator.uniform(0.0, bound, np.shape(positions))
    return np.maximum(positions, 0.0)


@cache
def next_cells(maze: str) -> np.ndarray:
    """Return the next cell on a shortest way, (R, C, R, C, 2): [goal][cell].

    As in D4RL, a way may begin in a wall: the cell an ant is taken to be in may be one.
    """
    walls = np.array([list(row) for row in maze_rows(maze)]) == "#"
    return shortest_ways(walls, MOVES, leads_out_of_walls=True)
