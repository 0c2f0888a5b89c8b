"""Adroit's pen and the Franka kitchen: Gymnasium-Robotics with D4RL's rules.

One Gymnasium environment serves a whole batch: its model, by far its largest part, is
shared, and what an episode owns is put in before each call and taken out after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from dql.environments.simulation import checked_actions, with_seeds

PEN_HEIGHT = 26
"""Where the pen's height stands among the observations."""
LOWEST_PEN = 0.075
"""A pen below this height, m, has fallen: D4RL ends the episode there."""

KITCHEN_TASKS = {
    "kitchen-complete": ("microwave", "kettle", "light switch", "slide cabinet"),
    "kitchen-partial": ("microwave", "kettle", "light switch", "slide cabinet"),
    "kitchen-mixed": ("microwave", "kettle", "bottom burner", "light switch"),
}
KITCHEN_NOISE = 0.1
"""Share of the configured noise on observed positions; Gymnasium's own is far less."""
NUM_ROBOT_POSITIONS = 9
OBJECT_POSITIONS = slice(18, 39)
"""Where Gymnasium's kitchen observations hold the objects' positions."""
GOAL_DIM = 30


class SharedModelEnvironment(ABC):
    """Episodes of one Gymnasium environment, each with its own simulation data."""

    observation_dim: int
    action_dim: int
    is_shareable = False  # episodes take turns in the one simulator

    def __init__(self, simulator: Any, num_environments: int, *, horizon: int) -> None:
        self.simulator = simulator
        self.num_environments = num_environments
        self.horizon = horizon
        self._data = [mujoco.MjData(simulator.model) for _ in range(num_environments)]
        self._last = np.zeros((num_environments, self.observation_dim))
        self._elapsed = np.zeros(num_environments, dtype=np.int64)

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Start episodes from their own seeds."""
        for index, seed in with_seeds(seeds, self.num_environments, chosen):
            self._last[index] = self._reset_one(index, seed)
            self._elapsed[index] = 0
        return self._last.copy()

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes; the others rest (see `BatchEnvironment`)."""
        active = np.asarray(active, dtype=bool)
        actions = checked_actions(actions, active, self.action_dim)
        rewards = np.zeros(self.num_environments)
        terminations = np.zeros(self.num_environments, dtype=bool)
        for index in np.flatnonzero(active):
            outcome = self._step_one(index, actions[index])
            self._last[index], rewards[index], terminations[index] = outcome
        self._elapsed += active
        truncations = active & (self._elapsed >= self.horizon)
        return self._last.copy(), rewards, terminations, truncations

    @abstractmethod
    def _reset_one(self, index: int, seed: int) -> np.ndarray:
        """Start one episode and return its first observation."""

    @abstractmethod
    def _step_one(
        self, index: int, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool]:
        """Step one episode: observation, reward, termination."""


class PenEnvironment(SharedModelEnvironment):
    """Turning a pen in the hand; D4RL's reward, and its end when the pen falls."""

    observation_dim = 45
    action_dim = 24

    def __init__(self, num_environments: int, *, horizon: int) -> None:
        from gymnasium_robotics.envs.adroit_hand.adroit_pen import AdroitHandPenEnv

        super().__init__(AdroitHandPenEnv(), num_environments, horizon=horizon)
        self._target = self.simulator.target_obj_body_id
        # The wanted orientation is part of the model, so every episode keeps its own,
        # and the lengths measured at its reset, equal but for rounding.
        self._orientations = np.zeros((num_environments, 4))
        self._lengths = np.ones((num_environments, 2))

    def _reset_one(self, index: int, seed: int) -> np.ndarray:
        self.simulator.data = self._data[index]
        observation, _ = self.simulator.reset(seed=seed)
        self._orientations[index] = self.simulator.model.body_quat[self._target]
        self._lengths[index] = self.simulator.pen_length, self.simulator.tar_length
        return observation

    def _step_one(
        self, index: int, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool]:
        self.simulator.data = self._data[index]
        self.simulator.model.body_quat[self._target] = self._orientations[index]
        self.simulator.pen_length, self.simulator.tar_length = self._lengths[index]
        observation, reward, *_ = self.simulator.step(action)
        return observation, float(reward), bool(observation[PEN_HEIGHT] < LOWEST_PEN)


class KitchenEnvironment(SharedModelEnvironment):
    """Four tasks in a kitchen, one reward each, once; D4RL's 60 observations."""

    observation_dim = 60
    action_dim = 9

    def __init__(self, tasks: str, num_environments: int, *, horizon: int) -> None:
        from gymnasium_robotics.envs.franka_kitchen import kitchen_env

        simulator = kitchen_env.KitchenEnv(
            tasks_to_complete=list(KITCHEN_TASKS[tasks]),
            object_noise_ratio=KITCHEN_NOISE,
            robot_noise_ratio=KITCHEN_NOISE,
        )
        super().__init__(simulator, num_environments, horizon=horizon)
        self._robot = simulator.robot_env
        # Gymnasium keeps a view of its own data here, which is not this episode's.
        self._robot.init_qvel = np.zeros(self._robot.model.nv)
        self._threshold = kitchen_env.BONUS_THRESH
        self._elements = kitchen_env.OBS_ELEMENT_INDICES
        self._tasks = KITCHEN_TASKS[tasks]
        self._goal = np.zeros(GOAL_DIM)
        for task in self._tasks:
            self._goal[self._elements[task]] = kitchen_env.OBS_ELEMENT_GOALS[task]
        self._open: list[set[str]] = [set() for _ in range(num_environments)]
        self._generators = [np.random.default_rng() for _ in range(num_environments)]
        self._robot_positions = np.zeros((num_environments, NUM_ROBOT_POSITIONS))

    def _reset_one(self, index: int, seed: int) -> np.ndarray:
        self._enter(index)
        observation, _ = self.simulator.reset(seed=seed)
        self._open[index] = set(self._tasks)
        self._generators[index] = self._robot.np_random
        return self._leave(index, observation["observation"])

    def _step_one(
        self, index: int, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool]:
        self._enter(index)
        observation, *_ = self.simulator.step(action)
        values = self._leave(index, observation["observation"])
        # As in D4RL, a task counts once, by the positions as they were observed.
        done = {task for task in self._open[index] if self._is_done(task, values)}
        self._open[index] -= done
        return values, float(len(done)), not self._open[index]

    def _is_done(self, task: str, observation: np.ndarray) -> bool:
        element = self._elements[task]
        offset = observation[element] - self._goal[element]
        return bool(np.linalg.norm(offset) < self._threshold)

    def _enter(self, index: int) -> None:
        """Give the simulator what belongs to this episode."""
        self.simulator.data = self._robot.data = self._data[index]
        self._robot.np_random = self._generators[index]
        # The actuators aim from the last observed position.
        self._robot._last_robot_qpos = self._robot_positions[index].copy()
        self.simulator.tasks_to_complete = set(self._tasks)

    def _leave(self, index: int, observation: np.ndarray) -> np.ndarray:
        """Keep what the episode needs next; return D4RL's observation."""
        self._robot_positions[index] = self._robot._last_robot_qpos
        robot = observation[:NUM_ROBOT_POSITIONS]
        return np.concatenate((robot, observation[OBJECT_POSITIONS], self._goal))
