"""A batch of MuJoCo simulations of one model, with their states in two arrays."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from dql.errors import UserError


class Simulations:
    """E simulations of one model; stepping one leaves the others as they are.

    MuJoCo leaves Python's lock while it steps, so threads may advance disjoint ones.
    """

    def __init__(
        self, model: mujoco.MjModel, num_environments: int, frame_skip: int
    ) -> None:
        self.model = model
        self.num_environments = num_environments
        self.frame_skip = frame_skip
        self.timestep = model.opt.timestep * frame_skip
        self.positions = np.zeros((num_environments, model.nq))
        self.velocities = np.zeros((num_environments, model.nv))
        self._data = [mujoco.MjData(model) for _ in range(num_environments)]
        self.initial_position = self._data[0].qpos.copy()
        self.initial_velocity = self._data[0].qvel.copy()

    def place(self, index: int, position: np.ndarray, velocity: np.ndarray) -> None:
        """Start a simulation afresh from a state."""
        data = self._data[index]
        mujoco.mj_resetData(self.model, data)
        data.qpos[:] = position
        data.qvel[:] = velocity
        mujoco.mj_forward(self.model, data)
        self.positions[index] = data.qpos
        self.velocities[index] = data.qvel

    def advance(
        self, controls: np.ndarray, active: np.ndarray, largest_speed: float = np.inf
    ) -> None:
        """Hold the controls (E, U) for one environment step of the active ones.

        Velocities are clipped to `largest_speed` before it.
        """
        for index in np.flatnonzero(active):
            data = self._data[index]
            if largest_speed < np.inf:
                np.clip(data.qvel, -largest_speed, largest_speed, out=data.qvel)
            data.ctrl[:] = controls[index]
            mujoco.mj_step(self.model, data, nstep=self.frame_skip)
            self.positions[index] = data.qpos
            self.velocities[index] = data.qvel


def with_seeds(
    seeds: Sequence[int], num_environments: int, chosen: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Pair the chosen episodes, None: all, with their seeds; refuse another number."""
    indices = range(num_environments) if chosen is None else chosen
    if len(seeds) != len(indices):
        raise ValueError(f"{len(seeds)} seeds, {len(indices)} episodes")
    return [(int(index), int(seed)) for index, seed in zip(indices, seeds, strict=True)]


def checked_actions(
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
