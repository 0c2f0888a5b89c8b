"""Batches of environments that step together, one interface for every family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dql.environments.antmaze import AntMazeEnvironment
from dql.environments.antmaze_maps import MAZES
from dql.environments.locomotion import LOCOMOTION, LocomotionEnvironment
from dql.environments.pointmaze import POINT_MAZES, PointMazeEnvironment
from dql.environments.robotics import KITCHEN_TASKS, KitchenEnvironment, PenEnvironment
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig


class BatchEnvironment(Protocol):
    """Episodes that run in step; one that has ended rests until the next reset."""

    observation_dim: int
    action_dim: int
    num_environments: int
    horizon: int
    is_shareable: bool
    """Whether threads may step disjoint episodes of it at the same time."""

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Start episodes from their own seeds; return all observations (E, O).

        `chosen` are those that start anew, None: all of them; the others go on.
        """
        ...

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes: observations, rewards, terminations, truncations.

        `actions` is (E, A), `active` a mask (E,). An inactive episode keeps its last
        observation and reports reward 0 and neither ending.
        """
        ...


def make_environments(task: TaskConfig, num_environments: int) -> BatchEnvironment:
    """Make a batch of the task's environments; an unknown environment raises."""
    environment, horizon = task.environment, task.horizon
    if environment == "bandit":
        from dql.environments.bandit import BanditEnvironment

        return BanditEnvironment(task.layout, num_environments)
    if environment in LOCOMOTION:
        return LocomotionEnvironment(
            environment, num_environments, horizon=horizon, physics=task.physics
        )
    if environment in MAZES:
        return AntMazeEnvironment(
            environment, num_environments, horizon=horizon, physics=task.physics
        )
    if environment == "pen":
        return PenEnvironment(num_environments, horizon=horizon)
    if environment in POINT_MAZES:
        return PointMazeEnvironment(environment, num_environments, horizon=horizon)
    if environment in KITCHEN_TASKS:
        return KitchenEnvironment(environment, num_environments, horizon=horizon)
    known = ["bandit", *LOCOMOTION, *MAZES, *POINT_MAZES, "pen", *KITCHEN_TASKS]
    hint = nearest(environment, known)
    raise UserError(f"task {task.name!r}: unknown environment {environment!r}{hint}")
