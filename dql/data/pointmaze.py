"""Local point-maze data: a controller walks from one random cell to another.

As for D4RL's maze2d, the walks have nothing to do with the task's goal: the reward
tells when one happens to be there, and a learner has to join pieces of walks. The
controller pulls the ball to the next cell of a shortest way, with noise on the force.

In a maze with two equally good ways every episode leads to the goal, one after another
by the one way and the other, and stays there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.bars import progress_bar
from dql.behavior.rollout import Episodes
from dql.data.episode_rows import cut, split
from dql.data.minari_files import DIMENSIONS, Episode, counted, write_dataset
from dql.data.policy_rows import LICENCE, VERSIONED
from dql.environments.pointmaze import (
    POINT_MAZES,
    PointMazeEnvironment,
    cells_at,
    centers,
    free_cells,
    next_cells,
    ways_to_goal,
)
from dql.errors import UserError
from dql.results.manifests import DEFAULT_NUM_TRANSITIONS, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

STIFFNESS = 10.0
DAMPING = 1.0
NOISE_STD = 0.5
"""Of the noise on each action before it is clipped, as D4RL's controller has it."""
ARRIVAL_RADIUS = 0.25
"""A walk ends this near to its cell's centre; another begins."""
NUM_REFERENCE_EPISODES = 50
BATCH_SIZE = 10


Control = Callable[[np.ndarray], np.ndarray]
"""From observations (E, 4) to the controller's actions (E, 2), without noise."""


def pull(maze: str, observations: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the force (E, 2) that draws balls to the centres of cells (E, 2)."""
    positions, velocities = observations[:, :2], observations[:, 2:]
    force = STIFFNESS * (centers(maze, cells) - positions)
    return np.clip(force - DAMPING * velocities, -1.0, 1.0)


def controls(maze: str, observations: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the controller's actions (E, 2) towards target cells (E, 2), no noise."""
    here = cells_at(maze, observations[:, :2])
    return pull(maze, observations, next_cells(maze)[(*targets.T, *here.T)])


def random_walks(maze: str, num_balls: int, generator: np.random.Generator) -> Control:
    """Return a controller that sends each ball from one random cell to another."""
    cells = free_cells(maze)
    targets = cells[generator.integers(len(cells), size=num_balls)]

    def control(observations: np.ndarray) -> np.ndarray:
        nonlocal targets
        offsets = observations[:, :2] - centers(maze, targets)
        arrived = np.linalg.norm(offsets, axis=1) < ARRIVAL_RADIUS
        fresh = cells[generator.integers(len(cells), size=num_balls)]
        targets = np.where(arrived[:, None], fresh, targets)
        return controls(maze, observations, targets)

    return control


def walks_to_goal(maze: str, num_balls: int) -> Control:
    """Return a controller that sends balls to the goal, by each way in turn."""
    ways = np.arange(num_balls) % len(POINT_MAZES[maze].gates)
    tables = ways_to_goal(maze)

    def control(observations: np.ndarray) -> np.ndarray:
        here = cells_at(maze, observations[:, :2])
        return pull(maze, observations, tables[(ways, *here.T)])

    return control


def walk(
    environment: PointMazeEnvironment, maze: str, generator: np.random.Generator
) -> Episodes:
    """Run one episode per ball, to the goal where ways to it are compared."""
    num_balls = environment.num_environments
    seeds = generator.integers(2**31, size=num_balls)
    observations = [environment.reset([int(seed) for seed in seeds])]
    actions, rewards = [], []
    control = (
        walks_to_goal(maze, num_balls)
        if POINT_MAZES[maze].gates
        else random_walks(maze, num_balls, generator)
    )
    for _ in range(environment.horizon):
        force = control(observations[-1])
        noise = NOISE_STD * generator.standard_normal((num_balls, 2))
        action = np.clip(force + noise, -1, 1).astype(np.float32)
        outcome = environment.step(action, np.ones(num_balls, dtype=bool))
        observations.append(outcome[0])
        actions.append(action)
        rewards.append(outcome[1])
    return Episodes(
        np.stack(observations, axis=1),
        np.stack(actions, axis=1),
        np.stack(rewards, axis=1),
        np.full(num_balls, environment.horizon),
        np.zeros(num_balls, dtype=bool),
    )


def roll_out_walks(task: TaskConfig, num_transitions: int) -> Iterator[Episode]:
    """Yield exactly `num_transitions` rows; the last episode may be cut."""
    maze = task.environment
    generator = np.random.default_rng([task.dataset.seed, zlib.crc32(b"walks")])
    environment = PointMazeEnvironment(maze, BATCH_SIZE, horizon=task.horizon)
    while num_transitions > 0:
        for episode in split(walk(environment, maze, generator)):
            if num_transitions > 0:
                yield cut(episode, num_transitions)
                num_transitions -= min(num_transitions, len(episode.rewards))


def reference_returns(task: TaskConfig) -> dict[str, Any]:
    """Measure what random actions return, and the controller sent to the goal."""
    maze, goal = task.environment, np.array(POINT_MAZES[task.environment].goal)
    targets = np.tile(goal, (NUM_REFERENCE_EPISODES, 1))
    found = {}
    for name in ("min", "max"):
        stream = zlib.crc32(name.encode())
        generator = np.random.default_rng([task.dataset.seed, stream])
        environment = PointMazeEnvironment(
            maze, NUM_REFERENCE_EPISODES, horizon=task.horizon
        )
        seeds = generator.integers(2**31, size=NUM_REFERENCE_EPISODES)
        observations = environment.reset([int(seed) for seed in seeds])
        total = 0.0
        for _ in range(task.horizon):
            actions = (
                generator.uniform(-1.0, 1.0, (NUM_REFERENCE_EPISODES, 2))
                if name == "min"
                else controls(maze, observations, targets)
            )
            active = np.ones(NUM_REFERENCE_EPISODES, dtype=bool)
            observations, rewards, _, _ = environment.step(actions, active)
            total += float(rewards.sum())
        found[name] = total / NUM_REFERENCE_EPISODES
    source = "mean returns measured here: random actions, and the controller sent to"
    return {**found, "source": f"{source} the goal without noise"}


def generate(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Write a point maze's walks as the task's dataset; return its manifest."""
    if task.dataset.source != "local":
        raise refuse_source(task, "generate")
    if task.environment not in POINT_MAZES:
        raise UserError(
            f"task '{task.name}' is no point maze (environment {task.environment!r})"
        )
    num_transitions = task.dataset.num_transitions or DEFAULT_NUM_TRANSITIONS
    description = _describe(task)
    with progress_bar(f"rolling out {task.name}", num_transitions) as progress:
        return write_dataset(
            task.name,
            counted(roll_out_walks(task, num_transitions), progress),
            root=root,
            dimensions=DIMENSIONS["pointmaze"],
            description=description,
        )


def _describe(task: TaskConfig) -> dict[str, Any]:
    walks = "between random cells of"
    if POINT_MAZES[task.environment].gates:
        walks = "to the goal, by each of the equally good ways in turn, of"
    return {
        "source": "local",
        "description": f"walks {walks} {task.environment} by a waypoint controller "
        "with noise; not D4RL's",
        "algorithm_name": "waypoint controller",
        "licence": LICENCE,
        "reference_scores": reference_returns(task),
        "environment": task.environment,
        "horizon": task.horizon,
        "generator": {"seed": task.dataset.seed, "noise_std": NOISE_STD},
        "versions": {name: versions()[name] for name in VERSIONED},
    }
