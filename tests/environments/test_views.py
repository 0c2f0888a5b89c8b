"""Outlines of bodies and walls: where the simulator has them."""

import mujoco
import numpy as np
import pytest

from dql.environments import antmaze_maps, pointmaze
from dql.environments.locomotion import LOCOMOTION
from dql.environments.physics import load_model
from dql.environments.views import SideView, bar, is_maze, is_runner, maze_walls


def test_a_bar_is_all_that_is_within_its_radius():
    outline = bar(np.array([1.0, 2.0]), np.array([0.5, 0.0]), 0.1)
    np.testing.assert_allclose(outline.min(axis=0), [0.4, 1.9])
    np.testing.assert_allclose(outline.max(axis=0), [1.6, 2.1])
    nearest = np.clip(outline[:, 0], 0.5, 1.5)
    distances = np.hypot(outline[:, 0] - nearest, outline[:, 1] - 2.0)
    np.testing.assert_allclose(distances, 0.1)


@pytest.mark.parametrize("environment", LOCOMOTION)
def test_a_body_is_seen_where_the_simulator_has_its_capsules(environment):
    view, model = SideView(environment, "d4rl"), load_model(environment, "d4rl")
    data = mujoco.MjData(model)
    data.qpos[:] += np.linspace(-0.2, 0.3, model.nq)
    mujoco.mj_forward(model, data)
    outlines = view.outlines(data.qpos)
    capsules = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE)
    assert len(outlines) == len(view.is_behind) == len(capsules)
    for outline, geom in zip(outlines, capsules, strict=True):
        middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
        np.testing.assert_allclose(middle, data.geom_xpos[geom, [0, 2]], atol=1e-9)
    moved = view.outlines(data.qpos + np.eye(model.nq)[0])
    np.testing.assert_allclose(moved[0] - outlines[0], [[1.0, 0.0]] * len(outlines[0]))
    assert sum(view.is_behind) == (3 if environment == "walker2d" else 0)


def test_walls_lie_where_no_cell_is_free():
    assert is_maze("antmaze-umaze") and not is_runner("antmaze-umaze")
    for maze, room in (
        ("pointmaze-umaze", pointmaze), ("antmaze-umaze", antmaze_maps)
    ):  # fmt: skip
        walls = np.array([(x + s / 2, y + s / 2) for x, y, s in maze_walls(maze)])
        cells = {tuple(cell) for cell in room.cells_at(maze, walls)}
        assert len(cells) == len(walls) == 18
        assert not cells & {tuple(cell) for cell in room.free_cells(maze)}
