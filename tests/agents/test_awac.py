"""AWAC against sums written out, numbers worked by hand, and a known optimum."""

import math

import pytest
import torch
from core import make_agent, make_dataset
from weighted_bandit import BEST_ACTIONS, log_density, precise_update, solve_bandit

from dql.core.losses import softmax_weights


def test_weights_by_hand():
    advantages = torch.tensor([[0.0, math.log(4.0)], [1000.0, 1000.0]])
    weights = softmax_weights(advantages, torch.tensor([0.5, 1.0]))
    # exp(0) : exp(log(4) / 2) = 1 : 2, with a mean of 1; large advantages are safe.
    torch.testing.assert_close(weights, torch.tensor([[2 / 3, 4 / 3], [1.0, 1.0]]))


def sampled(actor, observations, noise):
    """Return the policy's clipped samples, element by element."""
    mean, log_std = actor(observations)
    actions = torch.empty_like(mean)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in mean.shape)):
        r, b, a = index.tolist()
        action = mean[r, b, a] + math.exp(log_std[r, b, a]) * noise[r, b, a]
        actions[r, b, a] = max(-1.0, min(1.0, action.item()))
    return actions


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("awac")
    settings = agent.settings
    states, next_states = batch.observations, batch.next_observations
    with torch.no_grad():
        next_actions = sampled(before["actor"], next_states, noise["next_action"])
        next_q = before["target_critic"](next_states, next_actions)
        old_q = before["critic"](states, batch.actions)
        new_q = agent.critic(states, batch.actions)  # the policy sees the new critics
        own_actions = sampled(before["actor"], states, noise["action"])
        own_q = agent.critic(states, own_actions)
        means, log_stds = before["actor"](states)
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        critic_loss, exponentials, densities = 0.0, [], []
        for b in range(size):
            goes_on = 1 - batch.terminations[run, b].item()
            smaller = min(next_q[run, k, b].item() for k in (0, 1))
            y = batch.rewards[run, b].item() + settings.discount * goes_on * smaller
            critic_loss += sum((old_q[run, k, b].item() - y) ** 2 for k in (0, 1))
            q = min(new_q[run, k, b].item() for k in (0, 1))
            v = min(own_q[run, k, b].item() for k in (0, 1))
            exponentials.append(math.exp(settings.inverse_temperature * (q - v)))
            densities.append(
                log_density(batch.actions[run, b], means[run, b], log_stds[run, b])
            )
        weights = [size * e / sum(exponentials) for e in exponentials]
        products = [w * d for w, d in zip(weights, densities, strict=True)]
        expected = {
            "critic/loss": critic_loss,
            "actor/weighted_loss": -sum(products),
            "actor/bc_loss": -sum(densities),
            "actor/mean_weight": size,
        }
        for key, total in expected.items():
            assert metrics[key][run].item() == pytest.approx(total / size, rel=1e-6)


def test_weight_decay_is_half_the_squared_norm_of_each_run():
    agent, store = make_agent("awac", settings=[{"weight_decay": 0.2}] * 2)
    plain, _ = make_agent("awac", settings=[{"weight_decay": 0.0}] * 2)
    batch = store.gather(torch.arange(8).expand(2, 8))
    weights = torch.ones(2, 8)
    difference = (
        agent.actor_loss(batch, weights)[0] - plain.actor_loss(batch, weights)[0]
    )
    for run in range(2):
        norm = sum((p[run] ** 2).sum().item() for p in agent.actor.parameters())
        assert difference[run].item() == pytest.approx(0.1 * norm, rel=1e-4)


def test_awac_solves_a_bandit():
    found = solve_bandit("awac", inverse_temperature=10.0, num_hidden_layers=2)
    torch.testing.assert_close(found, BEST_ACTIONS, atol=0.06, rtol=0)


def test_one_step_tasks_draw_no_next_action():
    dataset = make_dataset()
    dataset.terminations[:] = 1
    agent, _ = make_agent("awac", dataset=dataset)
    assert set(agent.training_draws(16)) == {"action"}
