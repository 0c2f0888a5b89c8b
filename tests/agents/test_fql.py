"""FQL against sums written out, its options, and a bandit with a better mode."""

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import literal_flow, perceptron, q_value
from small_bandit import draw_actions, shares_of_modes, two_modes
from weighted_bandit import precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 2, "num_flow_steps": 3}


def clip(values):
    return [min(max(value, -1.0), 1.0) for value in values]


def literal_target(agent, before, batch, noise, run, b):
    following = batch.next_observations[run, b].tolist()
    drawn = noise["backup_noise"][run, b].tolist()
    action = clip(perceptron(before["actor"], run, [*following, *drawn]))
    critic = before["target_critic"]
    values = [q_value(critic, run, k, following, action) for k in (0, 1)]
    rule = {"mean": np.mean, "min": min}[agent.settings.target_rule]
    goes_on = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + agent.settings.discount * goes_on * rule(
        values
    )


@pytest.mark.parametrize(
    "settings", [{}, {"target_rule": "min", "q_normalizer": "policy"}]
)
def test_losses_equal_sums_written_out(settings):
    before, agent, batch, noise, metrics = precise_update("fql", **TINY, **settings)
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        critic_loss = distillation = 0.0
        values = []
        for b in range(size):
            state = batch.observations[run, b].tolist()
            data = batch.actions[run, b].tolist()
            y = literal_target(agent, before, batch, noise, run, b)
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, data)
                critic_loss += (q - y) ** 2 / size
            drawn = noise["actor_noise"][run, b].tolist()
            action = perceptron(before["actor"], run, [*state, *drawn])
            target = literal_flow(before["behavior_policy"], run, state, drawn)
            for a, f in zip(action, target, strict=True):
                distillation += (a - f) ** 2 / (size * len(action))
            pair = [
                q_value(before["critic"], run, k, state, clip(action)) for k in (0, 1)
            ]
            values.append(sum(pair) / 2)
        q_loss = -np.mean(values)
        if agent.settings.q_normalizer == "policy":
            q_loss /= np.mean(np.abs(values))
        expected = {
            "critic/loss": critic_loss,
            "actor/distillation_loss": distillation,
            "actor/q_loss": q_loss,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7)


def test_the_actors_loss_weighs_distillation_and_value():
    agent, store = make_agent("fql", settings=[{"distillation_coefficient": 7.0}] * 2)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, metrics = agent.actor_loss(batch, noise)
    expected = 7 * metrics["actor/distillation_loss"] + metrics["actor/q_loss"]
    torch.testing.assert_close(loss.detach(), expected)


def test_all_three_descend_from_the_same_weights():
    """The actor's gradient is at the critics in front of the step, not behind it."""
    agent, store = make_agent("fql")
    _, batch, noise = next(training_steps(agent, store, 1))
    losses = {
        "actor": agent.actor_loss(batch, noise)[0],
        "behavior_policy": agent.behavior_loss(batch, noise),
        "critic": agent.critic_loss(batch, noise),
    }
    expected = {
        name: torch.autograd.grad(loss.sum(), agent.optimizers[name].parameters)
        for name, loss in losses.items()
    }
    agent.update(batch, noise, "step")
    for name, gradients in expected.items():
        moments = agent.optimizers[name].first_moments  # a tenth of the first gradient
        for moment, gradient in zip(moments, gradients, strict=True):
            torch.testing.assert_close(moment, 0.1 * gradient, rtol=1e-6, atol=1e-9)


def test_the_value_does_not_reach_the_flow():
    agent, store = make_agent("fql")
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, _ = agent.actor_loss(batch, noise)
    flow = list(agent.behavior_policy.parameters())
    gradients = torch.autograd.grad(loss.sum(), flow, allow_unused=True)
    assert all(gradient is None for gradient in gradients)


@pytest.fixture(scope="module")
def solved():
    """Two runs on a bandit of two modes: little and much distillation."""
    sizes = {"hidden_dim": 32, "num_hidden_layers": 3, "num_flow_steps": 5}
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3}
    each = [sizes | rates | {"distillation_coefficient": a} for a in (3.0, 1000.0)]
    agent, store = make_agent("fql", settings=each, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    return draw_actions(agent)


def test_a_guided_policy_goes_to_the_mode_that_earns_more(solved):
    cheap, dear = shares_of_modes(solved, radius=0.35)[0]
    assert cheap < 0.02
    assert dear > 0.9


def test_much_distillation_keeps_both_modes(solved):
    share = (solved[1, :, 0] < 0).mean()  # the modes lie at -0.6 and 0.6
    assert 0.2 < share < 0.8
