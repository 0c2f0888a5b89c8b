"""The mixture policy: its likelihood, its samples and what it learns from data."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, to_double, training_steps
from literal_networks import double_batch, perceptron
from small_bandit import MODE_STD, draw_actions, shares_of_modes, two_modes

from dql.agents.bc_mdn import sample_mixture
from dql.core.losses import gaussian_log_likelihood, mixture_log_likelihood
from dql.core.policy_networks import Mixture


def log_density(action, weights, means, stds):
    """Return the log of a mixture's density at one action, added up term by term."""
    density = 0.0
    for weight, mean, std in zip(weights, means, stds, strict=True):
        for a, m, s in zip(action, mean, std, strict=True):
            weight *= math.exp(-0.5 * ((a - m) / s) ** 2) / (s * math.sqrt(2 * math.pi))
        density += weight
    return math.log(density)


def test_likelihood_is_the_log_of_the_density():
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4, 2)  # runs, transitions, components, action dims
    means = torch.randn(shape, generator=generator, dtype=torch.float64)
    log_stds = 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    logits = torch.randn(shape[:3], generator=generator, dtype=torch.float64)
    actions = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    log_weights = logits.log_softmax(dim=2)
    found = mixture_log_likelihood(actions, log_weights, means, log_stds)
    for r in range(2):
        for b in range(3):
            expected = log_density(
                actions[r, b].tolist(),
                log_weights[r, b].exp().tolist(),
                means[r, b].tolist(),
                log_stds[r, b].exp().tolist(),
            )
            assert found[r, b].item() == pytest.approx(expected, rel=1e-12)


def test_likelihood_survives_densities_that_underflow():
    means = torch.tensor([[[[0.0], [1.0]]]], dtype=torch.float64)
    log_stds = torch.full_like(means, math.log(0.01))
    log_weights = torch.full((1, 1, 2), math.log(0.5), dtype=torch.float64)
    actions = torch.tensor([[[5.0]]], dtype=torch.float64)
    found = mixture_log_likelihood(actions, log_weights, means, log_stds).item()
    # Only the component at 1 counts: 400 deviations away.
    assert found == pytest.approx(-0.693147 - 80000 + 4.605170 - 0.918939, abs=1e-5)


def test_one_component_is_a_gaussian():
    generator = torch.Generator().manual_seed(0)
    mean, log_std, actions = torch.randn(3, 2, 5, 3, generator=generator)
    found = mixture_log_likelihood(
        actions, torch.zeros(2, 5, 1), mean[:, :, None], log_std[:, :, None]
    )
    expected = gaussian_log_likelihood(actions, mean, log_std)
    torch.testing.assert_close(found, expected)


def test_loss_equals_the_literal_one():
    agent, store = make_agent("bc_mdn", settings=[{"num_components": 2}] * 2)
    to_double(agent)
    _, batch, _ = next(training_steps(agent, store, 1, batch_size=4))
    batch = double_batch(batch)
    loss = agent.bc_loss(batch)
    for run in range(2):
        total = 0.0
        for b in range(4):
            row = batch.observations[run, b].tolist()
            outputs = np.reshape(perceptron(agent.actor.mlp, run, row), (2, 1 + 3 + 3))
            exponentials = [math.exp(logit) for logit in outputs[:, 0]]
            weights = [value / sum(exponentials) for value in exponentials]
            stds = np.exp(np.clip(outputs[:, 4:], -5, 2))
            action = batch.actions[run, b].tolist()
            total += log_density(action, weights, outputs[:, 1:4], stds)
        assert loss[run].item() == pytest.approx(-total / 4, rel=1e-9)


def test_components_are_drawn_with_their_probabilities():
    weights = torch.tensor([[0.1, 0.6, 0.3], [1.0, 0.0, 0.0]])
    means = torch.tensor([-0.5, 0.0, 0.5]).expand(2, 3)

    def actor(observations):
        size = (2, observations.shape[1], 3)
        spread = means[:, None, :, None].expand(*size, 1)
        log_weights = weights.log()[:, None].expand(size)
        return Mixture(log_weights, spread, torch.full_like(spread, -20.0))

    uniforms = torch.rand(2, 20000, 3, generator=torch.Generator().manual_seed(0))
    uniforms[:, 0] = 0.0  # the edge of the law
    observations, noise = torch.zeros(2, 20000, 1), torch.zeros(2, 20000, 1)
    actions = sample_mixture(actor, observations, uniforms, noise)
    shares = (actions == means[:, None]).float().mean(dim=1)
    np.testing.assert_allclose(shares, weights, atol=0.015)
    assert shares[1, 0] == 1


def test_two_modes_are_both_cloned():
    settings = {"num_components": 2, "hidden_dim": 32, "learning_rate": 3e-3}
    agent, store = make_agent(
        "bc_mdn", seeds=(0, 1, 2), settings=[settings] * 3, dataset=two_modes()
    )
    losses = []
    for step, batch, noise in training_steps(agent, store, 600, batch_size=64):
        losses.append(agent.update(batch, noise, agent.phase(step))["actor/bc_loss"])
    # The data's own density: one of two modes, then a Gaussian in both dimensions.
    entropy = math.log(2) + math.log(2 * math.pi * math.e * MODE_STD**2)
    np.testing.assert_allclose(torch.stack(losses[-100:]).mean(0), entropy, atol=0.1)
    shares = shares_of_modes(draw_actions(agent))
    np.testing.assert_allclose(shares, 0.5, atol=0.07)
