"""TD3+BC-GM: the mixture's Q term, its gradient and the bandit it solves."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from core import double, make_agent, to_double, train_steps, training_steps
from literal_networks import double_batch, perceptron, q_value
from small_bandit import draw_actions, shares_of_modes, two_modes

from dql.core.losses import mixture_improvement_loss

BANDIT = {
    "num_components": 2,
    "hidden_dim": 32,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "actor_interval": 1,
    "normalize_observations": False,
}


def test_q_term_of_known_numbers():
    q_values = torch.tensor([[[1.0, -3.0], [2.0, 4.0]]], requires_grad=True)
    weights = torch.tensor([[[0.75, 0.25], [0.5, 0.5]]], requires_grad=True)
    loss = mixture_improvement_loss(q_values, weights)
    # Values 0 and 3, magnitudes 1.5 and 3: means 1.5 and 2.25.
    torch.testing.assert_close(loss, torch.tensor([-1.5 / 2.25]))
    of_q, of_weights = torch.autograd.grad(loss.sum(), [q_values, weights])
    torch.testing.assert_close(of_q, -weights.detach() / (2 * 2.25))
    torch.testing.assert_close(of_weights, -q_values.detach() / (2 * 2.25))


def test_gradient_of_the_q_term_is_unbiased():
    """Compare with the closed form of Q(a) = -(a - 1)^2, in every parameter."""
    logits = torch.tensor([0.3, -0.4, 0.1], dtype=torch.float64, requires_grad=True)
    means = torch.tensor([-0.5, 0.2, 0.6], dtype=torch.float64, requires_grad=True)
    stds = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 200000, 3, generator=generator, dtype=torch.float64)
    q_values = -((means + stds * noise - 1) ** 2)
    weights = logits.softmax(dim=0)
    loss = mixture_improvement_loss(q_values, weights.expand_as(q_values))
    found = torch.autograd.grad(loss.sum(), [logits, means, stds])
    w, m, s = weights.tolist(), means.tolist(), stds.tolist()
    each = [-((m[k] - 1) ** 2) - s[k] ** 2 for k in range(3)]
    mean_q = sum(w[k] * each[k] for k in range(3))
    expected = [
        [-w[k] * (each[k] - mean_q) / abs(mean_q) for k in range(3)],
        [2 * w[k] * (m[k] - 1) / abs(mean_q) for k in range(3)],
        [2 * w[k] * s[k] / abs(mean_q) for k in range(3)],
    ]
    for values, numbers in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, numbers, atol=4e-3)


def literal_mixture(agent, module, run, observation):
    """Return weights, means and deviations for one state."""
    components, action_dim = agent.settings.num_components, agent.spec.action_dim
    outputs = perceptron(module.mlp, run, observation)
    outputs = np.reshape(outputs, (components, 1 + 2 * action_dim))
    exponentials = np.array([math.exp(logit) for logit in outputs[:, 0]])
    stds = np.exp(np.clip(outputs[:, 1 + action_dim :], -5, 2))
    return exponentials / exponentials.sum(), outputs[:, 1 : 1 + action_dim], stds


def standardized(agent, run, observation):
    mean = agent.spec.observation_mean[run, 0].double().numpy()
    std = agent.spec.observation_std[run, 0].double().numpy()
    return (observation.double().numpy() - mean) / (std + 1e-3)


def literal_actor_loss(agent, run, batch, noise):
    """Return -log pi(a | s) - alpha E Q_1 / E|Q_1|, one sample a component."""
    likelihood = value = magnitude = 0.0
    size = len(batch.actions[run])
    for b in range(size):
        s = standardized(agent, run, batch.observations[run, b])
        weights, means, stds = literal_mixture(agent, agent.actor, run, s)
        density = 0.0
        for k, weight in enumerate(weights):
            z = (batch.actions[run, b].double().numpy() - means[k]) / stds[k]
            scale = stds[k] * math.sqrt(2 * math.pi)
            density += weight * np.prod(np.exp(-(z**2) / 2) / scale)
            xi = noise["component_actions"][run, b, k].double().numpy()
            action = np.clip(means[k] + stds[k] * xi, -1, 1)
            q = q_value(agent.critic, run, 0, s, action)
            value += weight * q / size
            magnitude += weight * abs(q) / size
        likelihood += math.log(density) / size
    return -likelihood - agent.settings.q_coefficient * value / magnitude


def literal_target(agent, run, b, batch, noise):
    """Return r + gamma (1 - end) min_j Q'_j(s', a'), a' by the first arrival."""
    s = standardized(agent, run, batch.next_observations[run, b])
    weights, means, stds = literal_mixture(agent, agent.target_actor, run, s)
    uniforms = noise["next_component"][run, b].tolist()
    times = [-math.log(u) / w for u, w in zip(uniforms, weights, strict=True)]
    k = times.index(min(times))
    xi = noise["next_action"][run, b].double().numpy()
    action = np.clip(means[k] + stds[k] * xi, -1, 1)
    next_q = min(q_value(agent.target_critic, run, j, s, action) for j in (0, 1))
    not_ended = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + 0.99 * not_ended * next_q


def test_losses_equal_the_literal_ones():
    settings = {"num_components": 2, "hidden_dim": 6}
    agent, store = make_agent("ql_mdn", settings=[settings] * 2)
    train_steps(agent, store, 6)  # so that the targets lag behind
    to_double(agent)
    _, batch, noise = next(training_steps(agent, store, 1, batch_size=5))
    batch, noise = double_batch(batch), double(noise)
    standard = replace(
        batch,
        observations=agent.normalize(batch.observations),
        next_observations=agent.normalize(batch.next_observations),
    )
    actor_loss, _ = agent.actor_loss(standard, noise)
    target_q = agent.target_q(standard, noise)
    for run in range(2):
        expected = literal_actor_loss(agent, run, batch, noise)
        assert actor_loss[run].item() == pytest.approx(expected, rel=1e-5)
        targets = [literal_target(agent, run, b, batch, noise) for b in range(5)]
        np.testing.assert_allclose(target_q[run], targets, rtol=1e-5, atol=1e-6)


def actor_after(num_steps, **settings):
    agent, store = make_agent("ql_mdn", settings=[settings] * 2)
    train_steps(agent, store, num_steps)
    return torch.cat([p.detach().flatten() for p in agent.actor.parameters()])


def test_q_moves_the_actor_unless_as_released():
    cloned = actor_after(10, q_coefficient=0.0)
    released = actor_after(10, q_coefficient=2.5, q_gradient="as_released")
    guided = actor_after(10, q_coefficient=2.5)
    assert torch.equal(released, cloned)
    assert (guided - cloned).abs().max() > 1e-4


def test_actor_moves_every_second_step():
    agent, _ = make_agent("ql_mdn")
    phases = [agent.phase(step) for step in range(4)]
    assert phases == ["critic", "actor", "critic", "actor"]


def best_share():
    """Return the better mode's share where likelihood and Q term balance.

    Two far modes of equal probability with values 1 and 5: the slopes of
    -(log w + log(1 - w)) / 2 and of 2.5 (5 w + 1 - w) / (5 w + 1 - w at a constant)
    are equal where w - 1/2 = 2.5 w (1 - w) 4 / (1 + 4 w).
    """
    low, high = 0.5, 1.0
    for _ in range(50):
        w = (low + high) / 2
        is_above = w - 0.5 > 2.5 * w * (1 - w) * 4 / (1 + 4 * w)
        low, high = (low, w) if is_above else (w, high)
    return low


@pytest.mark.parametrize(
    ("q_gradient", "share"), [("reparameterized", best_share()), ("as_released", 0.5)]
)
def test_bandit_is_solved_as_far_as_the_likelihood_allows(q_gradient, share):
    settings = BANDIT | {"q_gradient": q_gradient}
    agent, store = make_agent(
        "ql_mdn", seeds=(0, 1, 2), settings=[settings] * 3, dataset=two_modes()
    )
    for step, batch, noise in training_steps(agent, store, 800, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    shares = shares_of_modes(draw_actions(agent))
    np.testing.assert_allclose(shares[:, 1], share, atol=0.07)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=0.03)
