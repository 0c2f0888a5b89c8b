"""Batches of environments that step together, one interface for every family.

Locomotion calls MuJoCo directly: Gymnasium's v4 dynamics, rewards, resets and seeds
(equal to 1e-12, tested) without its wrappers, and with the bookkeeping of a whole batch
in one array operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import mujoco
import numpy as np

from dql.errors import UserError, nearest
from dql.physics import FRAME_SKIPS, VELOCITY_LIMITS, load_model

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec

    from dql.config import TaskConfig


class BatchEnvironment(Protocol):
    """Episodes that run in step; one that has ended rests until the next reset."""

    observation_dim: int
    action_dim: int
    num_environments: int
    horizon: int

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start every episode from its own seed; return observations (E, O)."""
        ...

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes: observations, rewards, terminations, truncations.

        `actions` is (E, A), `active` a mask (E,). An inactive episode keeps its last
        observation and reports reward 0 and neither ending.
        """
        ...


@dataclass(frozen=True)
class Locomotion:
    """What tells the locomotion environments apart (Gymnasium's v4 values)."""

    gymnasium_id: str
    control_cost_weight: float
    reset_noise_scale: float
    reset_velocities: str
    healthy_reward: float = 0.0
    healthy_height: tuple[float, float] | None = None
    healthy_angle: tuple[float, float] | None = None
    healthy_state_bound: float = np.inf


LOCOMOTION = {
    "hopper": Locomotion(
        gymnasium_id="Hopper-v4",
        control_cost_weight=1e-3,
        reset_noise_scale=5e-3,
        reset_velocities="uniform",
        healthy_reward=1.0,
        healthy_height=(0.7, np.inf),
        healthy_angle=(-0.2, 0.2),
        healthy_state_bound=100.0,
    ),
    "walker2d": Locomotion(
        gymnasium_id="Walker2d-v4",
        control_cost_weight=1e-3,
        reset_noise_scale=5e-3,
        reset_velocities="uniform",
        healthy_reward=1.0,
        healthy_height=(0.8, 2.0),
        healthy_angle=(-1.0, 1.0),
    ),
    "halfcheetah": Locomotion(
        gymnasium_id="HalfCheetah-v4",
        control_cost_weight=0.1,
        reset_noise_scale=0.1,
        reset_velocities="normal",
    ),
}


class LocomotionEnvironment:
    """A batch of hopper, walker2d or halfcheetah episodes."""

    def __init__(
        self,
        environment: str,
        num_environments: int,
        *,
        horizon: int = 1000,
        physics: str = "d4rl",
    ) -> None:
        self.constants = LOCOMOTION[environment]
        self.model = load_model(environment, physics)
        self.observation_dim = self.model.nq + self.model.nv - 1
        self.action_dim = self.model.nu
        self.num_environments = num_environments
        self.horizon = horizon
        self._velocity_limit = VELOCITY_LIMITS[environment]
        self._frame_skip = FRAME_SKIPS[environment]
        self._timestep = self.model.opt.timestep * self._frame_skip
        self._data = [mujoco.MjData(self.model) for _ in range(num_environments)]
        self._initial = self._data[0].qpos.copy(), self._data[0].qvel.copy()
        self._positions = np.zeros((num_environments, self.model.nq))
        self._velocities = np.zeros((num_environments, self.model.nv))
        self._elapsed = np.zeros(num_environments, dtype=np.int64)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Start every episode as Gymnasium's `reset(seed=...)` would."""
        if len(seeds) != self.num_environments:
            raise ValueError(f"{len(seeds)} seeds, {self.num_environments} episodes")
        scale = self.constants.reset_noise_scale
        for index, (data, seed) in enumerate(zip(self._data, seeds, strict=True)):
            generator = np.random.default_rng(seed)
            mujoco.mj_resetData(self.model, data)
            data.qpos[:] = self._initial[0] + generator.uniform(
                -scale, scale, self.model.nq
            )
            if self.constants.reset_velocities == "uniform":
                noise = generator.uniform(-scale, scale, self.model.nv)
            else:
                noise = scale * generator.standard_normal(self.model.nv)
            data.qvel[:] = self._initial[1] + noise
            mujoco.mj_forward(self.model, data)
            self._positions[index] = data.qpos
            self._velocities[index] = data.qvel
        self._elapsed[:] = 0
        return self._observations()

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes; the others rest (see `BatchEnvironment`)."""
        active = np.asarray(active, dtype=bool)
        actions = _checked_actions(actions, active, self.action_dim)
        before = self._positions[:, 0].copy()
        for index in np.flatnonzero(active):
            data = self._data[index]
            data.ctrl[:] = actions[index]
            mujoco.mj_step(self.model, data, nstep=self._frame_skip)
            self._positions[index] = data.qpos
            self._velocities[index] = data.qvel
        self._elapsed += active
        forward = (self._positions[:, 0] - before) / self._timestep
        costs = self.constants.control_cost_weight * np.square(actions).sum(axis=1)
        rewards = forward + self.constants.healthy_reward - costs
        terminations = active & ~self._healthy()
        truncations = active & (self._elapsed >= self.horizon)
        return (
            self._observations(),
            np.where(active, rewards, 0.0),
            terminations,
            truncations,
        )

    def _observations(self) -> np.ndarray:
        limit = self._velocity_limit
        velocities = np.clip(self._velocities, -limit, limit)
        return np.concatenate((self._positions[:, 1:], velocities), axis=1)

    def _healthy(self) -> np.ndarray:
        if self.constants.healthy_height is None:
            return np.ones(self.num_environments, dtype=bool)
        low_height, high_height = self.constants.healthy_height
        low_angle, high_angle = self.constants.healthy_angle
        bound = self.constants.healthy_state_bound
        height, angle = self._positions[:, 1], self._positions[:, 2]
        states = np.concatenate((self._positions[:, 2:], self._velocities), axis=1)
        return (
            (low_height < height)
            & (height < high_height)
            & (low_angle < angle)
            & (angle < high_angle)
            & (np.abs(states) < bound).all(axis=1)
        )


def _checked_actions(
    actions: np.ndarray, active: np.ndarray, action_dim: int
) -> np.ndarray:
    """Refuse actions of a wrong shape, and NaN, which MuJoCo would take for zero."""
    actions = np.asarray(actions)
    if actions.shape != (len(active), action_dim):
        expected = (len(active), action_dim)
        raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
    finite = np.isfinite(actions).all(axis=1) | ~active
    if not finite.all():
        raise UserError(
            f"the action for episode {int(np.flatnonzero(~finite)[0])} is not finite: "
            "the policy has diverged"
        )
    return actions


KNOWN_FAMILIES = ("antmaze", "pen", "kitchen")


def make_environments(task: TaskConfig, num_environments: int) -> BatchEnvironment:
    """Make a batch of the task's environments; an unknown environment raises."""
    environment = task.environment
    if environment == "bandit":
        from dql.bandit import BanditEnvironment

        return BanditEnvironment(task.layout, num_environments)
    if environment in LOCOMOTION:
        return LocomotionEnvironment(
            environment, num_environments, horizon=task.horizon, physics=task.physics
        )
    if environment.startswith(KNOWN_FAMILIES):
        raise UserError(
            f"task {task.name!r}: its environment {environment!r} is not implemented "
            f"yet; implemented are bandit, {', '.join(LOCOMOTION)}"
        )
    hint = nearest(environment, ["bandit", *LOCOMOTION])
    raise UserError(f"task {task.name!r}: unknown environment {environment!r}{hint}")


def make_gymnasium(environment: str, physics: str, **kwargs: Any) -> gymnasium.Env:
    """Make Gymnasium's own v4 environment on the model of the named physics."""
    import gymnasium

    spec = gymnasium.spec(LOCOMOTION[environment].gymnasium_id)
    base = gymnasium.envs.registration.load_env_creator(spec.entry_point)

    class PhysicsEnv(base):
        def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
            model = load_model(environment, physics)
            model.vis.global_.offwidth = max(model.vis.global_.offwidth, self.width)
            model.vis.global_.offheight = max(model.vis.global_.offheight, self.height)
            return model, mujoco.MjData(model)

    return PhysicsEnv(**kwargs)


def environment_spec(environment: str, physics: str, horizon: int) -> EnvSpec:
    """Describe an environment so that `gymnasium.make` and Minari can rebuild it."""
    from gymnasium.envs.registration import EnvSpec

    name = LOCOMOTION[environment].gymnasium_id.removesuffix("-v4")
    return EnvSpec(
        id=f"dql/{name}-{physics}-v4",
        entry_point="dql.environments:make_gymnasium",
        kwargs={"environment": environment, "physics": physics},
        max_episode_steps=horizon,
    )
