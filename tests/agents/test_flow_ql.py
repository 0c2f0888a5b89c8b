"""Flow-QL: its losses written out, and the gradient through the whole integration."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import literal_flow, perceptron, q_value
from weighted_bandit import precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 2, "num_flow_steps": 3}


@pytest.mark.parametrize("normalizer", ["as_released", "paper"])
def test_losses_equal_sums_written_out(normalizer):
    before, agent, batch, noise, metrics = precise_update(
        "flow_ql", **TINY, q_normalizer=normalizer
    )
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        errors, critic_loss = [], 0.0
        values, data_values = np.zeros((2, size)), np.zeros((2, size))
        for b in range(size):
            s, a = batch.observations[run, b].tolist(), batch.actions[run, b].numpy()
            t, eps = noise["flow_time"][run, b].item(), noise["flow_noise"][run, b]
            eps = eps.numpy()
            row = [*s, *((1 - t) * eps + t * a), t]
            errors += list((perceptron(before["actor"].mlp, run, row) - (a - eps)) ** 2)
            start = noise["actor_start"][run, b].tolist()
            action = literal_flow(before["actor"], run, s, start)
            next_s = batch.next_observations[run, b].tolist()
            start = noise["backup_start"][run, b].tolist()
            next_a = literal_flow(before["target_actor"], run, next_s, start)
            target = before["target_critic"]
            next_q = min(q_value(target, run, k, next_s, next_a) for k in (0, 1))
            y = batch.rewards[run, b].item()
            y += 0.99 * (1 - batch.terminations[run, b].item()) * next_q
            for k in (0, 1):  # the actor's step sees the critics' new weights
                values[k, b] = q_value(agent.critic, run, k, s, action)
                data_values[k, b] = q_value(agent.critic, run, k, s, a)
                critic_loss += (q_value(before["critic"], run, k, s, a) - y) ** 2 / size
        chosen = 0 if noise["critic_coin"][run] > 0.5 else 1
        divisor = {"as_released": values[1 - chosen], "paper": data_values[chosen]}
        expected = {
            "actor/bc_loss": np.mean(errors),
            "actor/q_loss": -values[chosen].mean() / np.abs(divisor[normalizer]).mean(),
            "critic/loss": critic_loss,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7), key


def test_the_q_terms_gradient_passes_through_every_step():
    """Of a linear field v = c, whose integral from z is z + c: dQ/dc is dQ/da."""
    agent, store = make_agent("flow_ql", settings=[{"q_normalizer": "paper"}] * 2)
    with torch.no_grad():
        for parameter in agent.actor.mlp.layers[-1].parameters():
            parameter.zero_()
    _, batch, noise = next(training_steps(agent, store, 1))
    noise["actor_start"] *= 0.1  # nothing is clipped
    _, metrics = agent.actor_loss(batch, noise)
    actions = noise["actor_start"].clone().requires_grad_()
    q_values = agent.critic(batch.observations, actions)
    chosen = torch.where(noise["critic_coin"] > 0.5, 0, 1)
    divisors = agent.critic(batch.observations, batch.actions).abs().mean(dim=2)
    terms = [
        -q_values[r, chosen[r]].mean() / divisors[r, chosen[r]].detach()
        for r in range(2)
    ]
    torch.testing.assert_close(metrics["actor/q_loss"], torch.stack(terms).detach())
    (gradient,) = torch.autograd.grad(sum(terms), actions)
    bias = agent.actor.mlp.layers[-1].bias
    loss = agent.actor_loss(batch, noise)[0] - agent.bc_loss(batch, noise)
    (found,) = torch.autograd.grad(loss.sum(), bias)
    expected = gradient.sum(dim=1, keepdim=True)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_training_draws_are_of_one_start_an_action():
    agent, _ = make_agent("flow_ql", settings=[{"max_q_backup": True}] * 2)
    shapes = {name: draw.shape for name, draw in agent.training_draws(16).items()}
    assert shapes == {
        "flow_noise": (16, 3),
        "flow_time": (16, 1),
        "backup_start": (160, 3),
        "critic_coin": (),
        "actor_start": (16, 3),
    }
    assert math.prod(agent.evaluation_draws(4)["start"].shape) == 4 * 5 * 3
