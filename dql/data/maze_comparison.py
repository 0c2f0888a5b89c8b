"""How near remade AntMaze data are to the D4RL set they are named after, in numbers.

Published of those sets is how many pieces they fall into at terminals and timeouts:
where the ant is at the goal every step is one. What else is measured stands alone:
arrivals, steps, and where in the maze the ants have been.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.data.antmaze import plan
from dql.data.datasets import (
    existing_data_file,
    read_manifest,
    remedy,
    stored_episodes,
)
from dql.data.description import AT_BOUND
from dql.environments.antmaze import GOAL_RADIUS
from dql.environments.antmaze_maps import cells_at, maze_rows
from dql.errors import UserError
from dql.files import locked
from dql.results.manifests import check_asked_for
from dql.results.published import read_rows

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

PARTS_OF_CELL = 4
"""Of a cell's side, for the map of where the ants have been."""


@dataclass(frozen=True)
class MazeFacts:
    """What is published of a D4RL set."""

    num_transitions: int
    num_pieces: int
    source: str


@cache
def maze_facts() -> dict[str, MazeFacts]:
    """Return what is published of each of D4RL's AntMaze sets."""
    return {
        row["task"]: MazeFacts(
            int(row["num_transitions"]), int(row["num_pieces"]), row["source"]
        )
        for row in read_rows(paths.PUBLISHED / "d4rl_antmaze.csv")
    }


@dataclass
class MazeComparison:
    """A remade AntMaze dataset, counted episode by episode."""

    task: str
    namesake: str
    maze: str
    visits: np.ndarray
    """Rows in each part of the maze, (4 rows, 4 columns), from its first corner."""
    steps_to_goal: list[int | None] = field(default_factory=list)
    """Of each episode to the goal it walks to; None: it does not arrive."""
    rewards: list[int] = field(default_factory=list)
    """Rows of each episode at the goal of the whole set."""
    num_transitions: int = 0
    num_pieces: int = 0
    step_sum: float = 0.0
    """Of the distances between positions, and of their squares, in maze units."""
    step_square_sum: float = 0.0
    num_at_bound: int = 0
    """Actions beyond 0.999, of all dimensions."""
    num_actions: int = 0

    def add(self, episode: dict[str, np.ndarray], goal: np.ndarray) -> None:
        """Count an episode that walked to a goal, (2,)."""
        positions = episode["observations"][:, :2].astype(np.float64)
        distances = np.linalg.norm(positions[1:] - goal, axis=1)
        arrived = np.flatnonzero(distances <= GOAL_RADIUS)
        self.steps_to_goal.append(int(arrived[0]) + 1 if len(arrived) else None)
        self.rewards.append(int(episode["rewards"].sum()))
        self.num_transitions += len(episode["rewards"])
        ends = episode["terminations"] | episode["truncations"]
        self.num_pieces += int(ends.sum())
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        self.step_sum += float(steps.sum())
        self.step_square_sum += float(np.square(steps).sum())
        self.num_at_bound += int((np.abs(episode["actions"]) >= AT_BOUND).sum())
        self.num_actions += episode["actions"].size
        np.add.at(self.visits, tuple(_parts(self.maze, positions[:-1]).T), 1)

    @property
    def arrivals(self) -> np.ndarray:
        """Return the steps of the episodes that arrive, (A,)."""
        return np.array([steps for steps in self.steps_to_goal if steps is not None])

    @property
    def facts(self) -> MazeFacts:
        """Return what is published of the D4RL set."""
        return maze_facts()[self.namesake]

    def cell_shares(self) -> np.ndarray:
        """Return each cell's share of the rows, (rows, columns)."""
        rows, columns = (size // PARTS_OF_CELL for size in self.visits.shape)
        cells = self.visits.reshape(rows, PARTS_OF_CELL, columns, PARTS_OF_CELL)
        return cells.sum(axis=(1, 3)) / self.num_transitions

    def content(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them."""
        num_episodes, rewards = len(self.rewards), np.array(self.rewards)
        step_mean = self.step_sum / self.num_transitions
        step_square = self.step_square_sum / self.num_transitions
        arrivals = self.arrivals
        median = float(np.median(arrivals)) if len(arrivals) else None
        return {
            "task": self.task,
            "namesake": self.namesake,
            "maze": self.maze,
            "num_transitions": self.num_transitions,
            "num_episodes": num_episodes,
            "arrived_share": len(arrivals) / num_episodes,
            "median_steps_to_goal": median,
            "rewarded_share": float((rewards > 0).mean()),
            "return_mean": float(rewards.mean()),
            "return_std": float(rewards.std()),
            "num_rewards": int(rewards.sum()),
            "num_pieces": self.num_pieces,
            "step_mean": step_mean,
            "step_std": max(step_square - step_mean**2, 0.0) ** 0.5,
            "at_bound_share": self.num_at_bound / self.num_actions,
            "cell_shares": self.cell_shares().round(6).tolist(),
            "of_d4rl": vars(self.facts),
        }


def check_comparable(task: TaskConfig, root: Path = paths.DATASETS) -> None:
    """Raise unless a task is remade AntMaze and its data are there, as asked for."""
    if task.dataset.multigoal is None:
        raise UserError(f"task '{task.name}' is not remade AntMaze data")
    check_asked_for(task, read_manifest(task, root))
    existing_data_file(task, root)


def compare(task: TaskConfig, root: Path = paths.DATASETS) -> MazeComparison:
    """Read a remade AntMaze task's dataset and measure it; other tasks raise."""
    check_comparable(task, root)
    rows = maze_rows(task.environment)
    visits = np.zeros((PARTS_OF_CELL * len(rows), PARTS_OF_CELL * len(rows[0])), int)
    found = MazeComparison(task.name, task.namesake, task.environment, visits)
    with locked(root / paths.minari_id(task.name)):
        check_asked_for(task, read_manifest(task, root))
        path = existing_data_file(task, root)
        try:
            for episode, goal in zip(stored_episodes(path), _goals(task), strict=False):
                found.add(episode, goal)
        except (OSError, KeyError) as error:
            raise UserError(
                f"task '{task.name}': {path} cannot be read ({error}); "
                f"make the data again with: {remedy(task)}"
            ) from None
    return found


def _goals(task: TaskConfig) -> Iterator[np.ndarray]:
    """Yield the goal (2,) of every episode, in order, as they were drawn."""
    batch = 0
    while True:
        yield from plan(task, batch).goals
        batch += 1


def _parts(maze: str, positions: np.ndarray) -> np.ndarray:
    """Return the row and column of the parts of cells that positions are in, (n, 2)."""
    rows = maze_rows(maze)
    parts = cells_at(maze, positions, PARTS_OF_CELL)
    largest = PARTS_OF_CELL * np.array((len(rows), len(rows[0]))) - 1
    return np.clip(parts, 0, largest)
