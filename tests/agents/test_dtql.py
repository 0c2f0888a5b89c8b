"""DTQL: its losses written out, what it pulls the policy to, and a known optimum."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from literal_networks import perceptron, predict_noise, q_value
from small_bandit import PEAK, draw_actions, one_peak, shares_of_modes, two_modes
from weighted_bandit import log_density, precise_update

from dql.core.noise import NoiseStreams

LITERAL = {
    "hidden_dim": 6,
    "num_denoising_steps": 4,
    "trust_region_coefficient": 3.0,
    "likelihood_coefficient": 0.5,
}
BANDIT = {
    "hidden_dim": 32,
    "num_denoising_steps": 20,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "num_candidates": 1,
    "likelihood_coefficient": 0.0,
}


def literal_loss(diffusion, run, observation, action, index, eps):
    """Return the squared errors of the predicted noise, one for each dimension."""
    num_steps = diffusion.num_denoising_steps
    bar = 1.0
    for i in range(1, index + 2):
        bar *= math.exp(-0.1 / num_steps - 0.5 * 9.9 * (2 * i - 1) / num_steps**2)
    noisy = math.sqrt(bar) * action + math.sqrt(1 - bar) * eps
    guess = predict_noise(diffusion, run, noisy, observation, index + 1)
    return list((guess - eps) ** 2)


def test_losses_equal_the_literal_ones():
    before, agent, batch, noise, metrics = precise_update("dtql", **LITERAL)
    for run in range(2):
        trust, errors, q_values, value_loss, critic_loss = [], [], [], 0.0, 0.0
        for b in range(5):
            s, a = batch.observations[run, b].numpy(), batch.actions[run, b].numpy()
            outputs = np.array(perceptron(before["actor"].mlp, run, s))
            mean, std = outputs[:3], np.exp(np.clip(outputs[3:], -5, 2))
            action = np.tanh(mean + std * noise["actor_noise"][run, b].numpy())
            index = int(noise["trust_denoising_step"][run, b])
            eps = noise["trust_noise"][run, b].numpy()
            # The policy's step sees the clone's and the critics' new weights.
            trust += literal_loss(agent.behavior_policy, run, s, action, index, eps)
            q_values.append(
                min(q_value(agent.critic, run, k, s, action) for k in (0, 1))
            )
            index = int(noise["denoising_step"][run, b])
            eps = noise["noise"][run, b].numpy()
            errors += literal_loss(before["behavior_policy"], run, s, a, index, eps)
            old = [q_value(before["target_critic"], run, k, s, a) for k in (0, 1)]
            u = min(old) - perceptron(before["value"], run, s)[0]
            value_loss += abs(0.7 - (1 if u < 0 else 0)) * u * u / 5
            next_v = perceptron(agent.value, run, batch.next_observations[run, b])[0]
            y = batch.rewards[run, b].item()
            y += 0.99 * (1 - batch.terminations[run, b].item()) * next_v
            for k in (0, 1):
                critic_loss += (q_value(before["critic"], run, k, s, a) - y) ** 2 / 5
        expected = {
            "actor/trust_region_loss": np.mean(trust),
            "actor/q_loss": -np.mean(q_values),
            "actor/bc_loss": np.mean(errors),
            "value/loss": value_loss,
            "critic/loss": critic_loss,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-5), key


def test_the_policys_loss_is_the_weighted_sum():
    agent, store = make_agent("dtql", settings=[LITERAL] * 2)
    train_steps(agent, store, 4)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, metrics = agent.actor_loss(batch, noise)
    for run in range(2):
        mean, log_std = agent.actor(batch.observations)
        likelihood = 0.0
        for b in range(16):
            raw = torch.atanh(batch.actions[run, b].double() / 1.001)
            likelihood += log_density(raw, mean[run, b], log_std[run, b]) / 16
        expected = 3.0 * metrics["actor/trust_region_loss"][run].item()
        expected += metrics["actor/q_loss"][run].item() - 0.5 * likelihood
        assert loss[run].item() == pytest.approx(expected, rel=1e-4)


def test_the_trust_region_moves_the_policy_and_nothing_else():
    agent, store = make_agent("dtql")
    train_steps(agent, store, 4)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, _ = agent.actor_loss(batch, noise)
    embedding = agent.behavior_policy.predictor.time_mlp.layers[0].weight
    inputs = [embedding, agent.actor.mlp.layers[0].weight]
    frozen, moved = torch.autograd.grad(loss.sum(), inputs, allow_unused=True)
    assert frozen is None
    assert moved.abs().max() > 0


def test_pretraining_leaves_the_policy_alone():
    agent, store = make_agent("dtql", settings=[{"num_pretraining_steps": 3}] * 2)
    before = {key: value.clone() for key, value in agent.state().items()}
    assert [agent.phase(step) for step in (0, 2, 3)] == [
        "pretraining",
        "pretraining",
        "step",
    ]
    train_steps(agent, store, 3)
    for key, value in agent.state().items():
        is_policy = key.startswith(("actor.", "optimizer.actor."))
        assert torch.equal(value, before[key]) == is_policy, key
    train_steps(agent, store, 1, start=3)
    key = "actor.mlp.layers.0.weight"
    assert not torch.equal(agent.state()[key], before[key])


def test_greedy_rule_takes_the_candidate_of_the_largest_smaller_critic():
    agent, store = make_agent("dtql", settings=[{"candidate_rule": "greedy"}] * 2)
    train_steps(agent, store, 5)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    found = agent.sample_actions(observations, noise)
    scores = []
    for candidate in range(5):
        actions = agent.policy_actions(observations, noise["noise"][:, :, candidate])
        scores.append(agent.target_critic(observations, actions).amin(dim=1))
    best = torch.stack(scores).amax(dim=0)
    found_scores = agent.target_critic(observations, found).amin(dim=1)
    torch.testing.assert_close(found_scores, best)


def train(dataset, num_steps, **settings):
    each = [BANDIT | settings] * 2
    agent, store = make_agent("dtql", settings=each, dataset=dataset)
    for step, batch, noise in training_steps(agent, store, num_steps, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    return agent


def test_the_policy_climbs_to_the_peak_where_all_actions_are_trusted():
    agent = train(
        one_peak(), 350, num_pretraining_steps=150, trust_region_coefficient=1.0
    )
    actions = draw_actions(agent, 300)
    np.testing.assert_allclose(actions.mean(axis=1), [PEAK] * 2, atol=0.15)
    rewards = 5 - 4 * ((actions - PEAK) ** 2).sum(axis=2).mean(axis=1)
    assert (rewards > 4).all()  # behaviour cloning: 1.08


def test_the_trust_region_holds_the_policy_near_the_better_mode():
    spread = {}
    for coefficient, num_steps in ((0.0, 300), (30.0, 400)):
        agent = train(
            two_modes(),
            num_steps,
            num_pretraining_steps=250,
            trust_region_coefficient=coefficient,
        )
        spread[coefficient] = shares_of_modes(draw_actions(agent, 300), radius=0.4)
    assert (spread[0.0][:, 1] < 0.1).all()  # the critics alone lead out of the data
    assert (spread[30.0][:, 0] < 0.1).all()
    assert (spread[30.0][:, 1] > 0.7).all()  # behaviour cloning: 0.5
