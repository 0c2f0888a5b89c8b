"""MCQ against sums written out, its one-sided penalty, and a known optimum."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import perceptron, q_value
from squashed_policies import literal_sample
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 1, "num_sampled_actions": 2}


def decoded(cvae, run, state, latent):
    """Return the CVAE's action from prior noise, clipped at 0.5."""
    row = [*state, *np.clip(latent, -0.5, 0.5)]
    return [math.tanh(x) for x in perceptron(cvae.decoder, run, row)]


def literal_excess(agent, before, run, state, drawn, prior):
    """Return the sum of both critics' squared excess over two sampled actions."""
    critic = before["critic"]
    cvae = agent.behavior_policy  # it has taken its step before
    best = [
        max(q_value(critic, run, k, state, decoded(cvae, run, state, z)) for z in prior)
        for k in (0, 1)
    ]
    total = 0.0
    for eps in drawn:
        action, _ = literal_sample(before["actor"], run, state, eps)
        for k in (0, 1):
            over = q_value(critic, run, k, state, action) - min(best)
            total += max(over, 0.0) ** 2
    return total


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update(
        "mcq", **TINY, data_weight=0.6
    )
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        td_loss = excess = actor_loss = 0.0
        # The temperature has taken its step before.
        temperature = math.exp(agent.temperature.value[run, 0].item())
        for b in range(size):
            state, following = (
                x[run, b].tolist()
                for x in (batch.observations, batch.next_observations)
            )
            two = slice(2 * b, 2 * b + 2)
            for place, name in ((state, ""), (following, "next_")):
                drawn = noise[f"{name}policy_actions"][run, two].tolist()
                prior = noise[f"{name}prior"][run, two].tolist()
                found = literal_excess(agent, before, run, place, drawn, prior)
                excess += found / (4 * size)
            drawn = noise["backup_action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, following, drawn)
            target = before["target_critic"]
            value = min(q_value(target, run, k, following, action) for k in (0, 1))
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item()
            y += 0.99 * goes_on * (value - temperature * density)
            data = batch.actions[run, b].tolist()
            for k in (0, 1):
                td_loss += (q_value(before["critic"], run, k, state, data) - y) ** 2
            drawn = noise["action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, state, drawn)
            # The critics have taken their step before the actor.
            q = min(q_value(agent.critic, run, k, state, action) for k in (0, 1))
            actor_loss += (temperature * density - q) / size
        expected = {
            "critic/td_loss": td_loss / size,
            "critic/excess": excess,
            "critic/loss": 0.6 * td_loss / size + 0.4 * excess,
            "actor/loss": actor_loss,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7), key


def test_q_below_the_best_of_the_behaviour_is_left_alone():
    agent, store = make_agent("mcq")
    _, batch, noise = next(training_steps(agent, store, 1))
    high = torch.full((2, 16), 1e3)
    agent.pseudo_target = lambda observations, prior: high
    drawn, prior = noise["policy_actions"], noise["prior"]
    assert agent.excess(batch.observations, drawn, prior).abs().max() == 0
    agent.pseudo_target = lambda observations, prior: -high
    assert agent.excess(batch.observations, drawn, prior).min() > 9e5


def test_bandit_is_solved():
    each = [FAST | {"behavior_learning_rate": 3e-3, "behavior_hidden_dim": 32}] * 2
    agent, store = make_agent("mcq", settings=each, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    actions = agent.sample_actions(states, {})[..., 0]
    assert (actions.sign() == BEST_ACTIONS.sign()).all()
    assert (actions.abs() > 0.3).all()
