"""One-step tasks with known answers, small enough to be solved in seconds."""

from types import SimpleNamespace

import numpy as np
import torch

from dql.core.noise import NoiseStreams

MODES = np.array([[-0.6, 0.3], [0.6, -0.3]])
MODE_STD = 0.05
REWARDS = np.array([1.0, 5.0])
PEAK = np.array([0.5, -0.25])


def two_modes(num_transitions=2000, *, seed=0):
    """Return actions of two equally likely modes; the second earns five times more."""
    generator = np.random.default_rng(seed)
    modes = generator.integers(2, size=num_transitions)
    noise = generator.standard_normal((num_transitions, 2))
    observations = np.zeros((num_transitions, 2), dtype=np.float32)
    return SimpleNamespace(
        observations=observations,
        actions=MODES[modes] + MODE_STD * noise,
        rewards=REWARDS[modes] + 0.1 * generator.standard_normal(num_transitions),
        next_observations=observations,
        terminations=np.ones(num_transitions),
    )


def one_peak(num_transitions=2000, *, seed=0):
    """Return actions all over the square; the reward falls off around `PEAK`."""
    generator = np.random.default_rng(seed)
    task = two_modes(num_transitions)
    task.actions = generator.uniform(-1, 1, (num_transitions, 2))
    task.rewards = 5 - 4 * ((task.actions - PEAK) ** 2).sum(axis=1)
    return task


def draw_actions(agent, num_actions=1000):
    """Return actions the agent takes in the one state, (R, num_actions, 2)."""
    draws = agent.evaluation_draws(num_actions)
    noise = NoiseStreams(agent.spec.seeds, draws, "evaluation", 0, block_steps=1).at(0)
    observations = torch.zeros(agent.spec.num_runs, num_actions, 2)
    return agent.sample_actions(observations, noise).numpy()


def shares_of_modes(actions, radius=4 * MODE_STD):
    """Return the share of actions (R, n, 2) within the radius of each mode, (R, 2)."""
    distances = np.linalg.norm(actions[:, :, None] - MODES, axis=-1)
    return (distances < radius).mean(axis=1)
