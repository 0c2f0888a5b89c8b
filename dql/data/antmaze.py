"""D4RL's AntMaze sets made again, by the rules of the generator that made them.

An ant walks to a goal for 1,001 steps, whether it arrives or not, then starts anew.
Rewards and terminals are put in afterwards, as D4RL did for the -v0 files: 1 where the
next position is within 0.5 of the goal that an environment drew, the same goal for the
whole set; the ant walks on. Timeouts are where episodes end, as in the -v2 files; those
of the -v0 files are known to be out of step (D4RL's issue 77).
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dql import paths
from dql.bars import progress_bar
from dql.behavior.rollout import Disturbance
from dql.behavior.snapshots import Snapshot
from dql.behavior.waypoints import WaypointWalker
from dql.data.episode_rows import cut
from dql.data.minari_files import DIMENSIONS, Episode, counted, write_dataset
from dql.data.published_policies import load_goal_policy
from dql.data.remade_description import describe
from dql.environments.antmaze import GOAL_RADIUS, AntMazeEnvironment, draw_goal
from dql.environments.antmaze_maps import (
    GOAL_NOISES,
    HAND_PICKED_GOALS,
    START_NOISES,
    centers,
    free_cells,
    noisy,
)
from dql.results.manifests import refuse_source

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

VERSIONED = ("minari", "mujoco", "numpy")
EPISODE_ROWS = 1001
"""D4RL's count of 1,000 steps begins at zero and ends with the step after."""
BATCH_SIZE = 50


class Plan(NamedTuple):
    """Where the ants of a batch start, None for the start cell, and their goals."""

    starts: np.ndarray | None
    goals: np.ndarray


def generate(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Walk a remade AntMaze task, write its dataset and manifest; return the latter."""
    if task.dataset.source != "remade" or task.dataset.multigoal is None:
        raise refuse_source(task, "generate")
    (part,) = task.dataset.parts
    policy = load_goal_policy(part.policy)
    num_transitions = task.dataset.num_transitions
    with progress_bar(f"walking {task.name}", num_transitions) as progress:
        manifest = write_dataset(
            task.name,
            counted(episodes(task, policy, num_transitions), progress),
            root=root,
            dimensions=DIMENSIONS["antmaze"],
            description=_describe(task),
        )
    logger.info(
        "%s: %d transitions in %d episodes, %.1f steps of each at the goal",
        task.name,
        manifest["num_transitions"],
        manifest["num_episodes"],
        manifest["episode_return"]["mean"] or 0.0,
    )
    return manifest


def plan(task: TaskConfig, batch: int) -> Plan:
    """Draw the starts and goals of a batch of episodes, the same at every call."""
    maze, dataset = task.environment, task.dataset
    generator = np.random.default_rng([dataset.seed, _stream(task), batch, 0])
    free = free_cells(maze)
    hand_picked = np.array(HAND_PICKED_GOALS[maze])
    goal_cells = free if dataset.multigoal else hand_picked
    starts = None
    if dataset.multistart:
        is_goal = (free[:, None] == hand_picked).all(axis=2).any(axis=1)
        # In D4RL's map, a marked goal is no place to start from.
        start_cells = free if dataset.multigoal else free[~is_goal]
        starts = _draw(maze, start_cells, START_NOISES, generator)
    return Plan(starts, _draw(maze, goal_cells, GOAL_NOISES, generator))


def _draw(
    maze: str,
    cells: np.ndarray,
    noises: tuple[float, ...],
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw points in cells, all equally likely, (BATCH_SIZE, 2)."""
    chosen = cells[generator.integers(len(cells), size=BATCH_SIZE)]
    return noisy(centers(maze, chosen), generator, noises)


def episodes(
    task: TaskConfig, policy: Snapshot, num_transitions: int
) -> Iterator[Episode]:
    """Yield exactly `num_transitions` rows; the last episode may be cut."""
    goal = draw_goal(task.environment, task.dataset.seed)
    environment = AntMazeEnvironment(
        task.environment,
        BATCH_SIZE,
        horizon=EPISODE_ROWS,
        physics=task.physics,
        goal=goal,
    )
    batch = 0
    while num_transitions > 0:
        num_steps = min(EPISODE_ROWS, num_transitions)
        for observations, actions in _walk(task, environment, policy, batch, num_steps):
            if num_transitions > 0:
                episode = labelled(observations, actions, goal)
                yield cut(episode, num_transitions)
                num_transitions -= min(num_transitions, len(actions))
        batch += 1


def _walk(
    task: TaskConfig,
    environment: AntMazeEnvironment,
    policy: Snapshot,
    batch: int,
    num_steps: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Walk a batch of episodes; yield each one's observations and actions, float32."""
    generator = np.random.default_rng([task.dataset.seed, _stream(task), batch, 1])
    starts, goals = plan(task, batch)
    walker = WaypointWalker(policy, task.environment, goals)
    part, rows = task.dataset.parts[0], np.arange(BATCH_SIZE)
    disturbance = Disturbance.draw(
        BATCH_SIZE, part.noise_std, part.random_share, generator
    )
    seeds = generator.integers(2**31, size=BATCH_SIZE)
    observation = environment.reset([int(seed) for seed in seeds], starts=starts)
    widths = environment.observation_dim, environment.action_dim
    observations = np.empty((BATCH_SIZE, num_steps + 1, widths[0]), np.float32)
    actions = np.empty((BATCH_SIZE, num_steps, widths[1]), np.float32)
    every = np.ones(BATCH_SIZE, dtype=bool)
    observations[:, 0] = observation
    for step in range(num_steps):
        chosen = walker.actions(observation, generator)
        actions[:, step] = disturbance.apply(chosen, rows, generator)
        observation = environment.step(actions[:, step], every)[0]
        observations[:, step + 1] = observation
    yield from zip(observations, actions, strict=True)


def labelled(
    observations: np.ndarray, actions: np.ndarray, goal: np.ndarray
) -> Episode:
    """Return an episode with D4RL's rewards and terminals for a goal (2,)."""
    distances = np.linalg.norm(observations[1:, :2] - goal, axis=1)
    is_there = distances <= GOAL_RADIUS
    truncations = np.zeros(len(actions), dtype=bool)
    truncations[-1] = True
    return Episode(
        observations, actions, is_there.astype(np.float32), is_there, truncations
    )


def _stream(task: TaskConfig) -> int:
    """Set the random numbers of mazes, starts and goals apart."""
    dataset = task.dataset
    name = f"{task.environment} {dataset.multistart} {dataset.multigoal}"
    return zlib.crc32(name.encode())


def _describe(task: TaskConfig) -> dict[str, Any]:
    dataset = task.dataset
    return describe(
        task,
        how=" by the rules of D4RL's generator",
        by="D4RL's goal-reaching ant on shortest ways",
        sizes=[dataset.num_transitions],
        versioned=VERSIONED,
        multistart=dataset.multistart,
        multigoal=dataset.multigoal,
        episode_rows=EPISODE_ROWS,
        goal=draw_goal(task.environment, dataset.seed).tolist(),
    )
