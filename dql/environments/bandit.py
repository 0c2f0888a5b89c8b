"""The 2-D bandit of the paper's Section 4 and Appendix A, as a one-step task.

The data are 10,000 actions from four Gaussian modes; a mode decides the reward. The
paper draws the modes on the axes (main text) and in the corners (Appendix A, the only
layout with public code). Which axis mode carries which reward is not published: here
the axis layout is the corner layout turned clockwise by 45 degrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dql.errors import UserError, nearest

MODE_RADIUS = 0.8
MODE_STD = 0.05
REWARD_STD = 0.5
OBSERVATION_DIM = 2
ACTION_DIM = 2

LAYOUTS: dict[str, np.ndarray] = {
    "axes": MODE_RADIUS * np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]),
    "corners": MODE_RADIUS * np.array([[-1.0, 1], [1.0, 1], [1.0, -1], [-1.0, -1]]),
}
"""Centres of the four modes, (4, 2), in the order of `REWARD_MEANS`."""

REWARD_MEANS = np.array([3.0, 1.5, 5.0, 0.0])
BEST_MODE = int(REWARD_MEANS.argmax())


def layout_centers(layout: str) -> np.ndarray:
    """Return the (4, 2) mode centres of a layout; an unknown layout raises."""
    if layout not in LAYOUTS:
        raise UserError(f"unknown bandit layout {layout!r}{nearest(layout, LAYOUTS)}")
    return LAYOUTS[layout]


def sample_data(
    layout: str, num_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw actions (n, 2) and rewards (n,), equally many from every mode, float32."""
    centers = layout_centers(layout)
    generator = np.random.default_rng(seed)
    modes = np.arange(num_samples) % len(centers)
    noise = generator.standard_normal((num_samples, ACTION_DIM))
    actions = np.clip(centers[modes] + MODE_STD * noise, -1.0, 1.0)
    reward_noise = generator.standard_normal(num_samples)
    rewards = REWARD_MEANS[modes] + REWARD_STD * reward_noise
    return actions.astype(np.float32), rewards.astype(np.float32)


def assign_modes(actions: np.ndarray, layout: str) -> np.ndarray:
    """Return each action's mode, (n,), or -1 beyond three standard deviations of all.

    The distance is Euclidean, so a circle of radius 0.15 holds 98.9 % of a mode.
    """
    offsets = actions[:, None, :] - layout_centers(layout)[None, :, :]
    distances = np.linalg.norm(offsets, axis=-1)
    modes = distances.argmin(axis=1)
    return np.where(distances.min(axis=1) <= 3 * MODE_STD, modes, -1)


class BanditEnvironment:
    """Parallel one-step episodes: pull once, earn the mode's reward, terminate.

    An action off every mode has no reward law in the data; it earns 0, the mean of the
    worst mode, so that a policy gains nothing by leaving the support.
    """

    observation_dim = OBSERVATION_DIM
    action_dim = ACTION_DIM
    horizon = 1
    is_shareable = True

    def __init__(self, layout: str, num_environments: int) -> None:
        layout_centers(layout)
        self.layout = layout
        self.num_environments = num_environments
        self._reward_noise = np.zeros(num_environments)

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return zero observations (E, 2); a seed fixes its episode's reward noise."""
        indices = range(self.num_environments) if chosen is None else chosen
        for index, seed in zip(indices, seeds, strict=True):
            self._reward_noise[index] = np.random.default_rng(seed).standard_normal()
        return np.zeros((self.num_environments, OBSERVATION_DIM))

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Take the one step of every active episode; all of them terminate."""
        modes = assign_modes(actions, self.layout)
        means = np.where(modes >= 0, REWARD_MEANS[modes], 0.0)
        rewards = np.where(modes >= 0, means + REWARD_STD * self._reward_noise, 0.0)
        rewards = np.where(active, rewards, 0.0)
        observations = np.zeros((self.num_environments, OBSERVATION_DIM))
        terminations = np.asarray(active, dtype=bool).copy()
        return observations, rewards, terminations, np.zeros_like(terminations)
