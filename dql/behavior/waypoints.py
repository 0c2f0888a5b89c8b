"""D4RL's ant that walks to a goal, waypoint by waypoint, as it generated AntMaze data.

A published policy walks along a vector; its direction is to the next cell on the
shortest way. Rules: Farama-Foundation/D4RL, `maze_env.py` (`create_navigation_policy`)
and `generate_ant_maze_datasets.py`.
"""

from __future__ import annotations

import numpy as np

from dql.behavior.snapshots import Snapshot
from dql.environments.antmaze_maps import (
    WAYPOINT_NOISES,
    centers,
    lagging_cells,
    next_cells,
)

BODY = slice(2, None)
"""What the policy sees of an observation: all but the position."""
VECTOR_LENGTH = 10.0
"""Of the vector towards the waypoint, whatever its distance."""


class WaypointWalker:
    """Ants on their ways to goals of their own, (E, 2), in one maze."""

    def __init__(self, policy: Snapshot, maze: str, goals: np.ndarray) -> None:
        self.policy, self.maze, self.goals = policy, maze, goals

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per ant, (E, 29) to (E, 8), in [-1, 1]."""
        offsets = self.waypoints(observations[:, :2], generator) - observations[:, :2]
        lengths = np.linalg.norm(offsets, axis=1, keepdims=True)
        vectors = VECTOR_LENGTH * offsets / lengths
        inputs = np.concatenate((observations[:, BODY], vectors), axis=1)
        return self.policy.actions(inputs, generator)

    def waypoints(
        self, positions: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw a point in the next cell of every ant, (E, 2); in the last, the goal."""
        cells = lagging_cells(self.maze, positions)
        last = lagging_cells(self.maze, self.goals)
        following = next_cells(self.maze)[(*last.T, *cells.T)]
        drawn = centers(self.maze, following)
        for bound in WAYPOINT_NOISES:
            drawn = drawn + generator.uniform(0.0, bound, drawn.shape)
        arrives = (following == last).all(axis=1)
        return np.where(arrives[:, None], self.goals, drawn)
