"""D4RL's AntMaze: an ant that must walk to a goal; Gymnasium's ant made D4RL's.

Differs from Gymnasium-Robotics' AntMaze as D4RL does: 29 observations (positions and
velocities, no goal), torques up to 30 without gear, 0.1 s a step, the origin at the
start, reward and end at 0.5 from the goal. As in the -v0 tasks, an environment draws
its goal once, at its first reset.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from dql.environments.antmaze_maps import (
    CELL_SIZE,
    GOAL_NOISES,
    centers,
    check_goal,
    marked,
    noisy,
)
from dql.environments.physics import PHYSICS, with_d4rl_inertials
from dql.environments.simulation import Simulations, checked_actions, with_seeds
from dql.errors import UserError, nearest

WALL_HEIGHT = 2.0
GOAL_RADIUS = 0.5
RESET_NOISE = 0.1
DENSITY = 5.0
LARGEST_TORQUE = 30.0
FRAME_SKIP = 5
TIMESTEP = 0.02
CONTACT = {"solref": ".02 1", "solimp": ".8 .8 .01"}
GOAL_STREAM = 1
"""Sets the goal's random numbers apart from the episodes'."""


def ant_maze_xml(maze: str, physics: str) -> str:
    """Return the MJCF of an ant in a maze.

    The inertials of D4RL's physics were checked on recorded hopper and walker2d
    transitions; D4RL's ant ran on the same simulator, but no recording is at hand.
    """
    walls = centers(maze, marked(maze, "#"))
    if physics not in PHYSICS:
        raise UserError(f"unknown physics {physics!r}{nearest(physics, PHYSICS)}")
    import gymnasium.envs.mujoco as package

    text = (Path(package.__file__).parent / "assets" / "ant.xml").read_text()
    root = ElementTree.fromstring(text)
    root.find("option").set("timestep", str(TIMESTEP))
    root.find("default/geom").attrib.update(CONTACT)
    for motor in root.iterfind("actuator/motor"):
        motor.set("gear", "1")
        motor.set("ctrlrange", f"{-LARGEST_TORQUE} {LARGEST_TORQUE}")
    world = root.find("worldbody")
    half = CELL_SIZE / 2
    for x, y in walls:
        position = f"{x} {y} {WALL_HEIGHT / 2}"
        size = f"{half} {half} {WALL_HEIGHT / 2}"
        wall = {"type": "box", "pos": position, "size": size}
        ElementTree.SubElement(world, "geom", wall, contype="1", conaffinity="1")
    text = ElementTree.tostring(root, encoding="unicode")
    return with_d4rl_inertials(text, DENSITY) if physics == "d4rl" else text


class AntMazeEnvironment:
    """A batch of ants that share a maze and a goal: a given one, or one drawn."""

    is_shareable = True

    def __init__(
        self,
        maze: str,
        num_environments: int,
        *,
        horizon: int,
        physics: str = "d4rl",
        goal: np.ndarray | None = None,
    ) -> None:
        if horizon < 1:
            raise UserError(
                f"{maze}: a horizon of {horizon}; an episode has one step at least"
            )
        model = mujoco.MjModel.from_xml_string(ant_maze_xml(maze, physics))
        self.observation_dim = model.nq + model.nv
        self.action_dim = model.nu
        self.num_environments = num_environments
        self.horizon = horizon
        self.goal = None if goal is None else check_goal(maze, goal)
        self._maze = maze
        self._simulations = Simulations(model, num_environments, FRAME_SKIP)
        self._elapsed = np.zeros(num_environments, dtype=np.int64)

    def reset(
        self,
        seeds: Sequence[int],
        chosen: Sequence[int] | None = None,
        starts: np.ndarray | None = None,
    ) -> np.ndarray:
        """Put ants at the start, or all of them each at its own of `starts`, (E, 2).

        The very first reset draws the goal.
        """
        pairs = with_seeds(seeds, self.num_environments, chosen)
        if self.goal is None:
            self.goal = draw_goal(self._maze, int(seeds[0]))
        simulations = self._simulations
        for index, seed in pairs:
            generator = np.random.default_rng(seed)
            offset = generator.uniform(-RESET_NOISE, RESET_NOISE, simulations.model.nq)
            noise = RESET_NOISE * generator.standard_normal(simulations.model.nv)
            position = simulations.initial_position + offset
            if starts is not None:
                position[:2] = starts[index]
            simulations.place(index, position, simulations.initial_velocity + noise)
            self._elapsed[index] = 0
        return self._observations()

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes: reward 1 and the end at the goal, 0 before it."""
        active = np.asarray(active, dtype=bool)
        actions = checked_actions(actions, active, self.action_dim)
        self._simulations.advance(LARGEST_TORQUE * np.clip(actions, -1, 1), active)
        self._elapsed[active] += 1
        offsets = self._simulations.positions[:, :2] - self.goal
        terminations = active & (np.linalg.norm(offsets, axis=1) <= GOAL_RADIUS)
        truncations = active & (self._elapsed >= self.horizon)
        rewards = terminations.astype(np.float64)
        return self._observations(), rewards, terminations, truncations

    def _observations(self) -> np.ndarray:
        simulations = self._simulations
        return np.concatenate((simulations.positions, simulations.velocities), axis=1)


def draw_goal(maze: str, seed: int) -> np.ndarray:
    """Draw the goal (2,) near the goal cell's centre, as D4RL does."""
    generator = np.random.default_rng([seed, GOAL_STREAM])
    return noisy(centers(maze, marked(maze, "G"))[0], generator, GOAL_NOISES)
