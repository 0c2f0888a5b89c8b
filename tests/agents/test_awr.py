"""AWR against sums written out, numbers worked by hand, and a known optimum."""

import math

import pytest
import torch
from core import make_agent, train_steps
from weighted_bandit import BEST_ACTIONS, log_density, precise_update, solve_bandit

from dql.core.losses import standardize


def test_standardised_values_by_hand():
    values = torch.tensor([[1.0, 3.0, 1.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
    expected = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(standardize(values), expected, atol=2e-5, rtol=0)


def test_losses_equal_sums_written_out():
    before, agent, batch, _, metrics = precise_update("awr")
    settings = agent.settings
    with torch.no_grad():
        old_v = before["value"](batch.observations)
        next_v = before["target_value"](batch.next_observations)
        new_v = agent.value(batch.observations)  # the policy sees V's new weights
        means, log_stds = before["actor"](batch.observations)
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        value_loss, advantages = 0.0, []
        for b in range(size):
            goes_on = 1 - batch.terminations[run, b].item()
            target = batch.rewards[run, b].item()
            target += settings.discount * goes_on * next_v[run, b, 0].item()
            value_loss += (old_v[run, b, 0].item() - target) ** 2
            advantages.append(target - new_v[run, b, 0].item())
        mean = sum(advantages) / size
        deviation = math.sqrt(sum((a - mean) ** 2 for a in advantages) / size)
        actor_loss = 0.0
        for b, advantage in enumerate(advantages):
            exponent = (advantage - mean) / (deviation + 1e-5)
            weight = min(math.exp(settings.inverse_temperature * exponent), 20.0)
            actor_loss -= weight * log_density(
                batch.actions[run, b], means[run, b], log_stds[run, b]
            )
        expected = {"value/loss": value_loss, "actor/weighted_loss": actor_loss}
        for key, total in expected.items():
            assert metrics[key][run].item() == pytest.approx(total / size, rel=1e-6)


def test_awr_solves_a_bandit():
    found = solve_bandit("awr", inverse_temperature=5.0)
    torch.testing.assert_close(found, BEST_ACTIONS, atol=0.06, rtol=0)


def test_advantages_do_not_depend_on_the_rewards_scale():
    deviations = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    same = standardize(1000 * deviations + 5)
    torch.testing.assert_close(same, standardize(deviations), atol=1e-3, rtol=0)


def test_the_policy_does_not_reach_the_value():
    agent, store = make_agent("awr", settings=[{"inverse_temperature": 0.1}] * 2)
    other, _ = make_agent("awr", settings=[{"inverse_temperature": 5.0}] * 2)
    train_steps(agent, store, 5)
    train_steps(other, store, 5)
    assert torch.equal(agent.value.layers[0].weight, other.value.layers[0].weight)
    actors = agent.actor.mlp, other.actor.mlp
    assert not torch.equal(*(actor.layers[0].weight for actor in actors))
