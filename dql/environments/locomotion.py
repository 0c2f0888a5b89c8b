"""Hopper, walker2d and halfcheetah: Gymnasium's v4 tasks without its wrappers.

MuJoCo is called directly, and the bookkeeping of a whole batch is one array operation.
Dynamics, rewards, resets and seeds are Gymnasium's (equal to 1e-12, tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from dql.environments.physics import FRAME_SKIPS, VELOCITY_LIMITS, load_model
from dql.environments.simulation import Simulations, checked_actions, with_seeds

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec


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

    is_shareable = True

    def __init__(
        self,
        environment: str,
        num_environments: int,
        *,
        horizon: int = 1000,
        physics: str = "d4rl",
    ) -> None:
        self.constants = LOCOMOTION[environment]
        model = load_model(environment, physics)
        self.observation_dim = model.nq + model.nv - 1
        self.action_dim = model.nu
        self.num_environments = num_environments
        self.horizon = horizon
        self._velocity_limit = VELOCITY_LIMITS[environment]
        self._simulations = Simulations(
            model, num_environments, FRAME_SKIPS[environment]
        )
        self._elapsed = np.zeros(num_environments, dtype=np.int64)

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Start episodes as Gymnasium's `reset(seed=...)` would."""
        pairs = with_seeds(seeds, self.num_environments, chosen)
        simulations, scale = self._simulations, self.constants.reset_noise_scale
        for index, seed in pairs:
            generator = np.random.default_rng(seed)
            offset = generator.uniform(-scale, scale, simulations.model.nq)
            if self.constants.reset_velocities == "uniform":
                noise = generator.uniform(-scale, scale, simulations.model.nv)
            else:
                noise = scale * generator.standard_normal(simulations.model.nv)
            simulations.place(
                index,
                simulations.initial_position + offset,
                simulations.initial_velocity + noise,
            )
            self._elapsed[index] = 0
        return self._observations()

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes; the others rest (see `BatchEnvironment`)."""
        active = np.asarray(active, dtype=bool)
        actions = checked_actions(actions, active, self.action_dim)
        before = self._simulations.positions[:, 0].copy()
        self._simulations.advance(actions, active)
        self._elapsed[active] += 1
        moved = self._simulations.positions[:, 0] - before
        costs = self.constants.control_cost_weight * np.square(actions).sum(axis=1)
        rewards = moved / self._simulations.timestep
        rewards = rewards + self.constants.healthy_reward - costs
        terminations = active & ~self._healthy()
        truncations = active & (self._elapsed >= self.horizon)
        rewards = np.where(active, rewards, 0.0)
        return self._observations(), rewards, terminations, truncations

    def _observations(self) -> np.ndarray:
        limit = self._velocity_limit
        velocities = np.clip(self._simulations.velocities, -limit, limit)
        return np.concatenate((self._simulations.positions[:, 1:], velocities), axis=1)

    def _healthy(self) -> np.ndarray:
        if self.constants.healthy_height is None:
            return np.ones(self.num_environments, dtype=bool)
        low_height, high_height = self.constants.healthy_height
        low_angle, high_angle = self.constants.healthy_angle
        bound = self.constants.healthy_state_bound
        positions = self._simulations.positions
        height, angle = positions[:, 1], positions[:, 2]
        velocities = self._simulations.velocities
        states = np.concatenate((positions[:, 2:], velocities), axis=1)
        return (
            (low_height < height)
            & (height < high_height)
            & (low_angle < angle)
            & (angle < high_angle)
            & (np.abs(states) < bound).all(axis=1)
        )


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
        entry_point="dql.environments.locomotion:make_gymnasium",
        kwargs={"environment": environment, "physics": physics},
        max_episode_steps=horizon,
    )
