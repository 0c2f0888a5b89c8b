"""EDP: its losses written out, its sampler's place, and a known optimum."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from literal_networks import predict_noise, q_value
from small_bandit import PEAK, draw_actions, one_peak
from weighted_bandit import precise_update

from dql.core.noise import NoiseStreams

LITERAL = {"num_denoising_steps": 6, "hidden_dim": 6, "num_solver_steps": 3}
BANDIT = {
    "hidden_dim": 32,
    "num_denoising_steps": 50,
    "beta_schedule": "vp",
    "num_solver_steps": 10,
    "num_candidates": 1,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "max_gradient_norm": None,
}


def scales(num_steps):
    """Return alpha and sigma of i = 1..N under the linear schedule, at index i - 1."""
    bar, alpha, sigma = 1.0, [], []
    for i in range(num_steps):
        bar *= 1 - (1e-4 + (2e-2 - 1e-4) * i / (num_steps - 1))
        alpha.append(math.sqrt(bar))
        sigma.append(math.sqrt(1 - bar))
    return alpha, sigma


def literal_solution(actor, run, observation, start):
    """Solve in 3 of 6 steps: indices 5, 1 and 0, at the cubes of 1, 1/2 and 0."""
    alpha, sigma = scales(6)
    growth = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]

    def clean(action, index):
        eps = predict_noise(actor, run, action, observation, index + 1)
        return np.clip((action - sigma[index] * eps) / alpha[index], -1, 1)

    first = clean(start, 5)
    h1, h2 = growth[1] - growth[5], growth[0] - growth[1]
    action = sigma[1] / sigma[5] * start + alpha[1] * (1 - math.exp(-h1)) * first
    second = clean(action, 1)
    r = h1 / h2
    mixed = (1 + 1 / (2 * r)) * second - 1 / (2 * r) * first
    action = sigma[0] / sigma[1] * action + alpha[0] * (1 - math.exp(-h2)) * mixed
    return clean(action, 0)


def test_losses_equal_the_literal_ones():
    before, agent, batch, noise, metrics = precise_update("edp", **LITERAL)
    alpha, sigma = scales(6)
    for run in range(2):
        errors, critic_loss = [], 0.0
        values = np.zeros((2, 5))
        chosen = 0 if noise["critic_coin"][run] > 0.5 else 1
        for b in range(5):
            s, a = batch.observations[run, b].numpy(), batch.actions[run, b].numpy()
            index = int(noise["denoising_step"][run, b])
            eps = noise["noise"][run, b].numpy()
            noisy = alpha[index] * a + sigma[index] * eps
            guess = predict_noise(before["actor"], run, noisy, s, index + 1)
            errors += list((guess - eps) ** 2)
            guessed = np.clip((noisy - sigma[index] * guess) / alpha[index], -1, 1)
            for k in (0, 1):  # the actor's step sees the critics' new weights
                values[k, b] = q_value(agent.critic, run, k, s, guessed)
            next_s = batch.next_observations[run, b].numpy()
            start = noise["backup_start"][run, b].numpy()
            next_a = literal_solution(before["target_actor"], run, next_s, start)
            target = before["target_critic"]
            next_q = min(q_value(target, run, k, next_s, next_a) for k in (0, 1))
            y = batch.rewards[run, b].item()
            y += 0.99 * (1 - batch.terminations[run, b].item()) * next_q
            for k in (0, 1):
                critic_loss += (q_value(before["critic"], run, k, s, a) - y) ** 2 / 5
        q_loss = -values[chosen].mean() / np.abs(values[chosen]).mean()
        expected = {
            "actor/bc_loss": np.mean(errors),
            "actor/q_loss": q_loss,
            "critic/loss": critic_loss,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-5)


def test_the_q_term_adds_its_gradient_through_the_prediction():
    agent, store = make_agent("edp", settings=[{"q_coefficient": 2.0}] * 2)
    train_steps(agent, store, 3)
    _, batch, noise = next(training_steps(agent, store, 1))
    parameters = list(agent.actor.parameters())
    steps = noise["denoising_step"]
    prediction = agent.actor.predict(
        batch.observations, batch.actions, steps, noise["noise"]
    )
    q_values = agent.critic(batch.observations, agent.actor.clean_actions(prediction))
    chosen = torch.where(noise["critic_coin"] > 0.5, 0, 1)
    q = torch.stack([q_values[run, chosen[run]] for run in range(2)])
    q_term = -q.mean(dim=1) / q.detach().abs().mean(dim=1)
    total = agent.bc_loss(batch, noise) + 2.0 * q_term
    expected = torch.autograd.grad(total.sum(), parameters)
    found = torch.autograd.grad(agent.actor_loss(batch, noise)[0].sum(), parameters)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_training_draws_no_chain():
    agent, _ = make_agent("edp", settings=[{"num_denoising_steps": 1000}] * 2)
    shapes = {name: draw.shape for name, draw in agent.training_draws(16).items()}
    assert shapes == {
        "denoising_step": (16,),
        "noise": (16, 3),
        "backup_start": (16, 3),
        "critic_coin": (),
    }


def test_fewer_denoising_steps_than_solver_steps_are_all_taken():
    settings = {"num_denoising_steps": 3, "num_solver_steps": 15, "num_candidates": 1}
    agent, _ = make_agent("edp", settings=[settings] * 2)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = agent.actor.solve(observations, noise["start"][:, :, 0], 3)
    torch.testing.assert_close(agent.sample_actions(observations, noise), expected)


def test_greedy_rule_takes_the_candidate_the_online_critics_prefer():
    agent, store = make_agent("edp", settings=[{"candidate_rule": "greedy"}] * 2)
    train_steps(agent, store, 5)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    found = agent.sample_actions(observations, noise)
    scores = []
    for candidate in range(5):
        start = noise["start"][:, :, candidate].contiguous()
        actions = agent.actor.solve(observations, start, 4)
        scores.append(agent.critic(observations, actions).amin(dim=1))
    best = torch.stack(scores).amax(dim=0)
    torch.testing.assert_close(agent.critic(observations, found).amin(dim=1), best)


def test_bandit_is_climbed_by_the_predicted_actions():
    rewards = {}
    for coefficient in (0.0, 5.0):
        settings = BANDIT | {"q_coefficient": coefficient}
        agent, store = make_agent("edp", settings=[settings] * 2, dataset=one_peak())
        for step, batch, noise in training_steps(agent, store, 300, batch_size=64):
            agent.update(batch, noise, agent.phase(step))
        actions = draw_actions(agent, 300)
        rewards[coefficient] = 5 - 4 * ((actions - PEAK) ** 2).sum(axis=2).mean(axis=1)
    # Actions all over the square earn 1.08 on average, the peak 5.
    assert (np.abs(rewards[0.0] - 1.08) < 0.8).all()
    assert (rewards[5.0] > 3.5).all()
