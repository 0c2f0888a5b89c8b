"""BCQ with a diffusion model: its losses written out, its choice and the bandit."""

import math

import numpy as np
import pytest
import torch
from core import double, make_agent, to_double, train_steps, training_steps
from literal_networks import double_batch, perceptron, predict_noise, q_value
from small_bandit import draw_actions, shares_of_modes, two_modes

from dql.core.noise import NoiseStreams

BANDIT = {
    "hidden_dim": 32,
    "behavior_hidden_dim": 64,
    "num_denoising_steps": 10,
    "num_candidates": 10,
    "learning_rate": 3e-3,
    "behavior_learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
}


def schedule(num_steps):
    """Return beta_i and the product of 1 - beta up to i, i = 0..N (Appendix B)."""
    beta, bar = [None], [1.0]
    for i in range(1, num_steps + 1):
        exponent = 0.1 / num_steps + 0.5 * 9.9 * (2 * i - 1) / num_steps**2
        beta.append(1 - math.exp(-exponent))
        bar.append(bar[-1] * math.exp(-exponent))
    return beta, bar


def denoise(agent, run, observation, noise):
    """Run the reverse chain on noise (N, A)."""
    num_steps = len(noise)
    beta, bar = schedule(num_steps)
    action = noise[0]
    for k, i in enumerate(range(num_steps, 0, -1), start=1):
        guess = predict_noise(agent.behavior_policy, run, action, observation, i)
        clean = (action - math.sqrt(1 - bar[i]) * guess) / math.sqrt(bar[i])
        clean = np.clip(clean, -1, 1)
        action = (
            beta[i] * math.sqrt(bar[i - 1]) * clean
            + (1 - bar[i - 1]) * math.sqrt(1 - beta[i]) * action
        ) / (1 - bar[i])
        if i > 1:
            variance = beta[i] * (1 - bar[i - 1]) / (1 - bar[i])
            action = action + math.sqrt(variance) * noise[k]
    return np.clip(action, -1, 1)


def perturbed(actor, run, observation, action):
    move = np.tanh(perceptron(actor, run, [*observation, *action]))
    return np.clip(action + 0.05 * move, -1, 1)


def literal_behavior_loss(agent, run, batch, noise):
    _, bar = schedule(agent.settings.num_denoising_steps)
    errors = []
    for b in range(len(batch.actions[run])):
        i = int(noise["denoising_step"][run, b]) + 1
        eps = noise["noise"][run, b].numpy()
        clean = batch.actions[run, b].numpy()
        noisy = math.sqrt(bar[i]) * clean + math.sqrt(1 - bar[i]) * eps
        s = batch.observations[run, b].numpy()
        errors += list(
            (eps - predict_noise(agent.behavior_policy, run, noisy, s, i)) ** 2
        )
    return np.mean(errors)


def literal_actor_loss(agent, run, batch, noise):
    values = []
    for b in range(len(batch.actions[run])):
        s = batch.observations[run, b].numpy()
        sampled = denoise(agent, run, s, noise["actor_chain"][run, :, b].numpy())
        action = perturbed(agent.actor, run, s, sampled)
        values.append(q_value(agent.critic, run, 0, s, action))
    return -np.mean(values)


def literal_target(agent, run, b, batch, noise):
    """Return r + gamma (1 - end) max_a' of 0.75 min_j Q'_j + 0.25 max_j Q'_j."""
    count, s = agent.settings.num_backup_samples, batch.next_observations[run, b]
    s, mixed = s.numpy(), []
    for sample in range(count):
        chain = noise["backup_chain"][run, :, b * count + sample].numpy()
        action = perturbed(agent.target_actor, run, s, denoise(agent, run, s, chain))
        values = [q_value(agent.target_critic, run, j, s, action) for j in (0, 1)]
        mixed.append(0.75 * min(values) + 0.25 * max(values))
    not_ended = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + 0.99 * not_ended * max(mixed)


def test_losses_equal_the_literal_ones():
    settings = {
        "hidden_dim": 6,
        "behavior_hidden_dim": 6,
        "num_denoising_steps": 3,
        "num_backup_samples": 3,
    }
    agent, store = make_agent("bcq_diffusion", settings=[settings] * 2)
    train_steps(agent, store, 6)  # so that the targets lag behind
    to_double(agent)
    _, batch, noise = next(training_steps(agent, store, 1, batch_size=4))
    batch, noise = double_batch(batch), double(noise)
    bc_loss, _ = agent.behavior_loss(batch, noise)
    actor_loss = agent.actor_loss(batch, noise)
    target_q = agent.target_q(batch, noise)
    for run in range(2):
        expected = literal_behavior_loss(agent, run, batch, noise)
        assert bc_loss[run].item() == pytest.approx(expected, rel=1e-5)
        expected = literal_actor_loss(agent, run, batch, noise)
        assert actor_loss[run].item() == pytest.approx(expected, rel=1e-5)
        targets = [literal_target(agent, run, b, batch, noise) for b in range(4)]
        np.testing.assert_allclose(target_q[run], targets, rtol=1e-5, atol=1e-6)


def test_perturbation_leaves_the_behavior_policy_alone():
    agent, store = make_agent("bcq_diffusion")
    _, batch, noise = next(training_steps(agent, store, 1))
    loss = agent.actor_loss(batch, noise).sum()
    parameters = list(agent.behavior_policy.parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def evaluation(agent, num_episodes=4):
    draws = agent.evaluation_draws(num_episodes)
    noise = NoiseStreams((0, 1), draws, "evaluation", 0).at(0)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, num_episodes, 5, generator=generator), noise


def test_behavior_rule_acts_by_the_chain_alone():
    agent, store = make_agent(
        "bcq_diffusion", settings=[{"action_rule": "behavior"}] * 2
    )
    train_steps(agent, store, 5)
    observations, noise = evaluation(agent)
    chain = noise["chain"][:, :, :, 0].transpose(1, 2).contiguous()
    expected = agent.behavior_policy.sample(observations, chain).detach()
    found = agent.sample_actions(observations, noise)
    torch.testing.assert_close(found, expected)


def test_greedy_rule_takes_the_candidate_the_first_critic_prefers():
    agent, store = make_agent("bcq_diffusion")
    train_steps(agent, store, 5)
    observations, noise = evaluation(agent)
    found = agent.sample_actions(observations, noise)
    scores = []
    for candidate in range(agent.settings.num_candidates):
        chain = noise["chain"][:, :, :, candidate].transpose(1, 2).contiguous()
        sampled = agent.behavior_policy.sample(observations, chain)
        action = agent.perturb(agent.actor, observations, sampled)
        scores.append(agent.critic(observations, action)[:, 0])
    best = torch.stack(scores).amax(dim=0)
    torch.testing.assert_close(agent.critic(observations, found)[:, 0], best)


def test_bandit_is_solved_by_choosing():
    agent, store = make_agent(
        "bcq_diffusion", seeds=(0, 1, 2), settings=[BANDIT] * 3, dataset=two_modes()
    )
    for step, batch, noise in training_steps(agent, store, 1000, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    # Of its ten proposals the agent takes the outermost in the critics' direction.
    shares = shares_of_modes(draw_actions(agent, 300), radius=0.4)
    assert (shares[:, 1] > 0.95).all()
    generator = torch.Generator().manual_seed(0)
    chain = torch.randn(3, 10, 300, 2, generator=generator)
    proposals = agent.behavior_policy.sample(torch.zeros(3, 300, 2), chain).detach()
    assert (shares_of_modes(proposals.numpy(), radius=0.4) > 0.25).all()
