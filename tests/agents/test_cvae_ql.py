"""CVAE-QL: its losses written out, its moving average and the bandit."""

import math

import numpy as np
import pytest
import torch
from core import double, make_agent, to_double, train_steps, training_steps
from literal_networks import double_batch, perceptron, q_value
from small_bandit import PEAK, draw_actions, one_peak

BANDIT = {
    "hidden_dim": 32,
    "behavior_hidden_dim": 32,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
}


def decode(policy, run, observation, latent):
    outputs = perceptron(policy.decoder, run, [*observation, *latent])
    return np.tanh(outputs)


def literal_cvae_loss(agent, run, batch, noise):
    """Return the mean squared error plus half the mean KL per latent number."""
    errors, kls = [], []
    for b in range(len(batch.actions[run])):
        s, a = batch.observations[run, b].tolist(), batch.actions[run, b].numpy()
        code = np.array(perceptron(agent.behavior_policy.encoder, run, [*s, *a]))
        mean, std = code[:6], np.exp(np.clip(code[6:], -4, 15))
        latent = mean + std * noise["posterior"][run, b].numpy()
        errors += list((decode(agent.behavior_policy, run, s, latent) - a) ** 2)
        for m, d in zip(mean, std, strict=True):
            kls.append((m**2 + d**2 - 1) / 2 - math.log(d))
    return np.mean(errors) + 0.5 * np.mean(kls)


def literal_q_loss(agent, run, batch, noise):
    first = noise["critic_coin"][run].item() > 0.5
    chosen, other = (0, 1) if first else (1, 0)
    values, sizes = [], []
    for b in range(len(batch.actions[run])):
        s, a = batch.observations[run, b].tolist(), batch.actions[run, b].tolist()
        latent = np.clip(noise["actor_prior"][run, b].numpy(), -0.5, 0.5)
        action = decode(agent.behavior_policy, run, s, latent)
        values.append(q_value(agent.critic, run, chosen, s, action))
        if agent.settings.q_normalizer == "as_released":
            sizes.append(abs(q_value(agent.critic, run, other, s, action)))
        else:
            sizes.append(abs(q_value(agent.critic, run, chosen, s, a)))
    return -np.mean(values) / np.mean(sizes)


def literal_target(agent, run, b, batch, noise):
    """Maximise each target critic over the samples, then take the smaller."""
    count = agent.num_backup_samples
    s = batch.next_observations[run, b].tolist()
    values = []
    for sample in range(count):
        latent = noise["backup_prior"][run, b * count + sample].numpy()
        policy = agent.target_behavior_policy
        action = decode(policy, run, s, np.clip(latent, -0.5, 0.5))
        values.append([q_value(agent.target_critic, run, j, s, action) for j in (0, 1)])
    next_q = min(max(value[j] for value in values) for j in (0, 1))
    not_ended = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + 0.99 * not_ended * next_q


@pytest.mark.parametrize("q_normalizer", ["as_released", "paper"])
@pytest.mark.parametrize("max_q_backup", [False, True])
def test_losses_equal_the_literal_ones(q_normalizer, max_q_backup):
    settings = {
        "hidden_dim": 6,
        "behavior_hidden_dim": 6,
        "q_normalizer": q_normalizer,
        "max_q_backup": max_q_backup,
        "num_backup_samples": 3,
        "q_coefficient": 1.5,
    }
    agent, store = make_agent("cvae_ql", settings=[settings] * 2)
    train_steps(agent, store, 6)  # so that the targets lag behind
    to_double(agent)
    _, batch, noise = next(training_steps(agent, store, 1, batch_size=4))
    batch, noise = double_batch(batch), double(noise)
    noise["critic_coin"] = torch.tensor([0.2, 0.9])  # one run for either critic
    loss, metrics = agent.actor_loss(batch, noise)
    target_q = agent.target_q(batch, noise)
    for run in range(2):
        cvae_loss = literal_cvae_loss(agent, run, batch, noise)
        q_loss = literal_q_loss(agent, run, batch, noise)
        assert metrics["actor/bc_loss"][run].item() == pytest.approx(cvae_loss)
        assert metrics["actor/q_loss"][run].item() == pytest.approx(q_loss)
        assert loss[run].item() == pytest.approx(cvae_loss + 1.5 * q_loss)
        targets = [literal_target(agent, run, b, batch, noise) for b in range(4)]
        np.testing.assert_allclose(target_q[run], targets, rtol=1e-6)


def test_moving_average_starts_late_and_follows_at_its_interval():
    agent, store = make_agent("cvae_ql", settings=[{"actor_ema_start": 7}] * 2)
    policy, average = agent.behavior_policy, agent.target_behavior_policy
    for step, batch, noise in training_steps(agent, store, 12):
        before = [p.detach().clone() for p in average.parameters()]
        agent.update(batch, noise, agent.phase(step))
        share = 0.005 if step == 10 else 0.0
        pairs = zip(before, average.parameters(), policy.parameters(), strict=True)
        for old, new, online in pairs:
            expected = old + share * (online.detach() - old)
            torch.testing.assert_close(new.detach(), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("q_coefficient", "center"), [(2.5, PEAK), (0.0, (0.0, 0.0))])
def test_bandit_is_solved_by_the_q_term(q_coefficient, center):
    settings = BANDIT | {"q_coefficient": q_coefficient}
    agent, store = make_agent(
        "cvae_ql", seeds=(0, 1, 2), settings=[settings] * 3, dataset=one_peak()
    )
    for step, batch, noise in training_steps(agent, store, 600, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    actions = draw_actions(agent)
    np.testing.assert_allclose(actions.mean(axis=1), [center] * 3, atol=0.1)
    spread = actions.std(axis=1)
    assert (spread < 0.1).all() if q_coefficient else (spread > 0.15).all()
