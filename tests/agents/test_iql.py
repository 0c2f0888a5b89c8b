"""IQL against sums written out, numbers worked by hand, and a known optimum."""

import math

import pytest
import torch
from core import make_agent, train_steps
from weighted_bandit import BEST_ACTIONS, log_density, precise_update, solve_bandit

from dql.core.losses import (
    expectile_loss,
    exponential_weights,
    weighted_regression_loss,
)
from dql.core.noise import seeded_generator
from dql.core.policy_networks import BoundedGaussianActor


def test_expectile_loss_by_hand():
    differences = torch.tensor([[2.0, -1.0], [0.0, -3.0]])
    loss = expectile_loss(differences, torch.tensor([0.7, 0.9]))
    # (0.7 x 4 + 0.3 x 1) / 2 and (0 + 0.1 x 9) / 2
    torch.testing.assert_close(loss, torch.tensor([1.55, 0.45]))


def test_half_an_expectile_is_half_the_squared_error():
    differences = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    loss = expectile_loss(differences, torch.full((3,), 0.5))
    torch.testing.assert_close(loss, 0.5 * differences.square().mean(dim=1))


@pytest.mark.parametrize("expectile", [0.5, 0.7, 0.9])
def test_the_minimum_of_the_loss_is_the_expectile(expectile):
    values = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    prediction = torch.tensor(expectile, dtype=torch.float64, requires_grad=True)
    loss = expectile_loss(values - prediction, torch.tensor([expectile]).double())
    # Of two equally likely values 0 and 1, the expectile is its own level.
    (slope,) = torch.autograd.grad(loss.sum(), prediction)
    assert abs(slope.item()) < 1e-7


def test_weights_by_hand_and_clipped():
    advantages = torch.tensor([[0.0, 1.0, 500.0], [-1.0, 2.0, 3.0]])
    weights = exponential_weights(advantages, torch.tensor([3.0, 0.5]), 100.0)
    expected = [
        [1.0, math.exp(3.0), 100.0],
        [math.exp(-0.5), math.exp(1.0), math.exp(1.5)],
    ]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_regression_takes_no_gradient_through_its_weights():
    weights = torch.tensor([[1.0, 3.0]], requires_grad=True)
    log_likelihood = torch.tensor([[-2.0, 4.0]], requires_grad=True)
    loss = weighted_regression_loss(log_likelihood, weights)
    assert loss.item() == pytest.approx(-(1 * -2 + 3 * 4) / 2)
    (gradient,) = torch.autograd.grad(loss.sum(), log_likelihood, retain_graph=True)
    assert gradient.tolist() == [[-0.5, -1.5]]
    with pytest.raises(RuntimeError):
        torch.autograd.grad(loss.sum(), weights)


def test_actor_is_bounded_and_its_deviation_is_one_for_all_states():
    generators = [seeded_generator(seed, "weights") for seed in range(2)]
    actor = BoundedGaussianActor(
        3,
        2,
        generators,
        hidden_dim=8,
        num_hidden_layers=2,
        activation="relu",
        log_std_range=(-5.0, 2.0),
        initial_log_std=0.0,
    )
    mean, log_std = actor(100 * torch.randn(2, 6, 3))
    assert mean.abs().max() <= 1
    torch.testing.assert_close(log_std, torch.zeros(2, 6, 2), atol=1e-6, rtol=0)
    with torch.no_grad():
        actor.log_std_logit.fill_(100.0)
    assert actor(torch.zeros(2, 1, 3))[1].max() == 2


def test_losses_equal_sums_written_out():
    before, agent, batch, _, metrics = precise_update("iql")
    settings = agent.settings
    with torch.no_grad():
        target_q = before["target_critic"](batch.observations, batch.actions)
        q_values = before["critic"](batch.observations, batch.actions)
        old_v = before["value"](batch.observations)
        new_v = agent.value(batch.observations)  # the policy and Q see V's new weights
        next_v = agent.value(batch.next_observations)
        means, log_stds = before["actor"](batch.observations)
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        value_loss = actor_loss = critic_loss = 0.0
        for b in range(size):
            q = min(target_q[run, 0, b].item(), target_q[run, 1, b].item())
            u = q - old_v[run, b, 0].item()
            value_loss += abs(settings.expectile - (1 if u < 0 else 0)) * u * u
            exponent = settings.inverse_temperature * (q - new_v[run, b, 0].item())
            weight = min(math.exp(exponent), 100.0)
            density = log_density(
                batch.actions[run, b], means[run, b], log_stds[run, b]
            )
            actor_loss -= weight * density
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item()
            y += settings.discount * goes_on * next_v[run, b, 0].item()
            critic_loss += sum((q_values[run, k, b].item() - y) ** 2 for k in (0, 1))
        expected = {
            "value/loss": value_loss,
            "actor/weighted_loss": actor_loss,
            "critic/loss": critic_loss,
        }
        for key, total in expected.items():
            assert metrics[key][run].item() == pytest.approx(total / size, rel=1e-6)


def test_iql_solves_a_bandit():
    found = solve_bandit("iql", inverse_temperature=10.0)
    torch.testing.assert_close(found, BEST_ACTIONS, atol=0.06, rtol=0)


def test_the_policy_does_not_reach_the_values():
    agent, store = make_agent("iql", settings=[{"inverse_temperature": 0.1}] * 2)
    other, _ = make_agent("iql", settings=[{"inverse_temperature": 5.0}] * 2)
    train_steps(agent, store, 5)
    train_steps(other, store, 5)
    for name in ("value", "critic", "target_critic"):
        pairs = zip(
            agent.modules[name].parameters(),
            other.modules[name].parameters(),
            strict=True,
        )
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    actors = agent.actor.mlp, other.actor.mlp
    assert not torch.equal(*(actor.layers[0].weight for actor in actors))


def test_samples_spread_around_the_mean():
    agent, _ = make_agent("iql", settings=[{"action_rule": "sample"}] * 2)
    observations = torch.zeros(2, 3, 5)
    noise = torch.zeros(2, 3, 3)
    noise[:, 1], noise[:, 2] = 1e-3, 100.0
    mean, near, far = agent.sample_actions(observations, {"noise": noise}).unbind(1)
    deviations = torch.full((2, 3), 1e-3)
    torch.testing.assert_close(near - mean, deviations, atol=1e-6, rtol=0)
    assert (far == 1).all()
    plain, _ = make_agent("iql")
    torch.testing.assert_close(plain.sample_actions(observations, {})[:, 0], mean)
