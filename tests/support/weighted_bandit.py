"""A bandit whose best action is known, and literal sums for tests of regressions."""

import copy
import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import torch
from core import double, make_agent, to_double, train_steps, training_steps

FAST = {"hidden_dim": 32, "learning_rate": 3e-3, "critic_learning_rate": 3e-3}
"""Settings with which an agent solves the bandit in a few hundred steps."""


def make_bandit(num_transitions=2000):
    """Return pulls in two states, -1 and 1; the best action is 0.6 times the state.

    The data hold it and its opposite equally often. An action earns 1 where its sign is
    the state's and 0 elsewhere, with noise.
    """
    generator = np.random.default_rng(0)
    shape = (num_transitions, 1)
    states = generator.choice([-1.0, 1.0], shape)
    signs = generator.choice([-1.0, 1.0], shape)
    noise = 0.05 * generator.standard_normal(shape)
    rewards = (signs == states)[:, 0] + 0.1 * generator.standard_normal(num_transitions)
    return SimpleNamespace(
        observations=states.astype(np.float32),
        actions=0.6 * signs + noise,
        rewards=rewards,
        next_observations=states.astype(np.float32),
        terminations=np.ones(num_transitions),
    )


def solve_bandit(name, num_steps=400, **settings):
    """Train two runs on the bandit; return their mean actions in states -1 and 1."""
    each = [FAST | settings] * 2
    agent, store = make_agent(name, settings=each, dataset=make_bandit())
    train_steps(agent, store, num_steps)
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    return agent.sample_actions(states, {})[..., 0]


BEST_ACTIONS = torch.tensor([[-0.6, 0.6]] * 2)


def precise_update(name, batch_size=5, warm_up=3, **settings):
    """Take one step in float64; return networks before and after, inputs, metrics.

    A few steps go before, so that targets and online networks differ.
    """
    agent, store = make_agent(name, settings=[settings] * 2)
    to_double(agent)
    for step, batch, noise in training_steps(agent, store, warm_up + 1, batch_size):
        batch = dataclasses.replace(batch, **double(vars(batch)))
        noise = double(noise)
        before = copy.deepcopy(agent.modules)
        metrics = agent.update(batch, noise, agent.phase(step))
    return before, agent, batch, noise, metrics


def log_density(action, mean, log_std):
    """Return log N(action; mean, exp(log_std)) of plain sequences."""
    total = 0.0
    for a, m, s in zip(action.tolist(), mean.tolist(), log_std.tolist(), strict=True):
        z = (a - m) / math.exp(s)
        total += -0.5 * z * z - s - 0.5 * math.log(2 * math.pi)
    return total
