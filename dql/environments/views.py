"""What is seen of an environment without a renderer: outlines of bodies, walls.

A runner is seen from the side, every capsule of its body as a rounded bar in the plane
of x and height; a maze from above.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from dql.environments import antmaze_maps, pointmaze
from dql.environments.antmaze_maps import CELL_SIZE, MAZES
from dql.environments.locomotion import LOCOMOTION
from dql.environments.physics import FRAME_SKIPS, load_model
from dql.environments.pointmaze import POINT_MAZES

ARC_POINTS = 9
"""Of each rounded end of a bar."""
BEHIND = "_left"
"""How the names of bodies end that are behind others: walker2d's left leg."""


def is_runner(environment: str) -> bool:
    """Return whether an environment is seen from the side."""
    return environment in LOCOMOTION


def is_maze(environment: str) -> bool:
    """Return whether an environment is seen from above."""
    return environment in MAZES or environment in POINT_MAZES


class SideView:
    """A runner's body from the side, in the named physics."""

    def __init__(self, environment: str, physics: str) -> None:
        self._model = load_model(environment, physics)
        self._data = mujoco.MjData(self._model)
        self.seconds_per_step = self._model.opt.timestep * FRAME_SKIPS[environment]
        kinds = self._model.geom_type
        self._capsules = np.flatnonzero(kinds == mujoco.mjtGeom.mjGEOM_CAPSULE)

    @property
    def is_behind(self) -> list[bool]:
        """Return of each outline whether its body is behind the others."""
        bodies = self._model.geom_bodyid[self._capsules]
        return [self._model.body(body).name.endswith(BEHIND) for body in bodies]

    def outlines(self, position: np.ndarray) -> list[np.ndarray]:
        """Return an outline (P, 2) of x and height per capsule, in metres.

        `position` (Q,) is a generalised position; the ground is at height 0.
        """
        self._data.qpos[:] = position
        mujoco.mj_kinematics(self._model, self._data)
        return list(map(self._outline, self._capsules))

    def _outline(self, geom: int) -> np.ndarray:
        radius, half = self._model.geom_size[geom, :2]
        axis = self._data.geom_xmat[geom].reshape(3, 3)[[0, 2], 2]
        return bar(self._data.geom_xpos[geom, [0, 2]], half * axis, radius)


def bar(center: np.ndarray, half: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline (P, 2) of all that is within a radius of a segment.

    The segment goes from `center - half` to `center + half`, both (2,).
    """
    angle = np.arctan2(half[1], half[0])
    arc = np.linspace(-np.pi / 2, np.pi / 2, ARC_POINTS)
    ends = ((angle, center + half), (angle + np.pi, center - half))
    rounded = [
        end + radius * np.stack((np.cos(arc + turn), np.sin(arc + turn)), axis=1)
        for turn, end in ends
    ]
    return np.concatenate(rounded)


def maze_walls(maze: str) -> Iterator[tuple[float, float, float]]:
    """Yield each wall's lower left corner and side, in the units of positions."""
    if maze in POINT_MAZES:
        cells, side = np.argwhere(pointmaze.maze_map(maze)), 1.0
        middles = pointmaze.centers(maze, cells)
    else:
        cells, side = antmaze_maps.marked(maze, "#"), CELL_SIZE
        middles = antmaze_maps.centers(maze, cells)
    for x, y in middles - side / 2:
        yield float(x), float(y), side
