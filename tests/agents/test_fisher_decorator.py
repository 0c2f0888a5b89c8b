"""Fisher Decorator: its metric and losses written out, and what a metric is for."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from literal_networks import literal_flow, perceptron, q_value
from small_bandit import draw_actions, two_modes
from weighted_bandit import precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 2, "num_flow_steps": 3}


def literal_fisher(agent, flow, noise, run, b, state):
    """Return F of one state: outer products of scores, damped, mean diagonal 1."""
    count = agent.settings.num_fisher_samples
    total = np.zeros((3, 3))
    for row in range(b * count, (b + 1) * count):
        start = noise["fisher_start"][run, row].tolist()
        action = np.array(literal_flow(flow, run, state, start))
        point = 0.05 * noise["fisher_noise"][run, row].numpy() + 0.95 * action
        score = np.array(perceptron(flow.mlp, run, [*state, *point, 0.95])) / 0.05
        total += np.outer(score, score) / count
    total += 1e-3 * np.eye(3)
    return total / (np.trace(total) / 3)


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("fisher_decorator", **TINY)
    flow, actor = before["behavior_policy"], before["actor"]
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        critic_loss = divergence = 0.0
        values = []
        for b in range(size):
            state = batch.observations[run, b].tolist()
            following = batch.next_observations[run, b].tolist()
            drawn = noise["backup_noise"][run, b].tolist()
            base = literal_flow(flow, run, following, drawn)
            move = perceptron(actor, run, [*following, *base])
            action = np.clip(base + np.array(move), -1, 1)
            target = before["target_critic"]
            value = np.mean(
                [q_value(target, run, k, following, action) for k in (0, 1)]
            )
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item() + 0.99 * goes_on * value
            data = batch.actions[run, b].tolist()
            for k in (0, 1):
                critic_loss += (q_value(before["critic"], run, k, state, data) - y) ** 2
            base = literal_flow(flow, run, state, noise["actor_noise"][run, b].tolist())
            move = np.array(perceptron(actor, run, [*state, *base]))
            fisher = literal_fisher(agent, flow, noise, run, b, state)
            divergence += move @ fisher @ move / (3 * size)
            action = np.clip(base + move, -1, 1)
            critic = before["critic"]
            values += [q_value(critic, run, k, state, action) for k in (0, 1)]
        expected = {
            "critic/loss": critic_loss / size,
            "actor/divergence": divergence,
            "actor/q_loss": -np.mean(values),
            "actor/multiplier": math.exp(before["multiplier"].value[run, 0].item()),
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7), key


def test_the_loss_weighs_the_form_by_the_multiplier_that_begins_at_alpha():
    each = [{"distillation_coefficient": a} for a in (2.0, 5.0)]
    agent, store = make_agent("fisher_decorator", settings=each)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, metrics = agent.actor_loss(batch, noise)
    torch.testing.assert_close(metrics["actor/multiplier"], torch.tensor([2.0, 5.0]))
    expected = torch.tensor([2.0, 5.0]) * metrics["actor/divergence"]
    torch.testing.assert_close(loss.detach(), expected + metrics["actor/q_loss"])


@pytest.mark.parametrize(("target", "rises"), [(0.0, True), (1e6, False)])
def test_the_multiplier_follows_the_excess(target, rises):
    each = [{"target_divergence": target}] * 2
    agent, store = make_agent("fisher_decorator", settings=each)
    before = agent.multiplier.value.clone()
    train_steps(agent, store, 3)
    assert ((agent.multiplier.value > before) == rises).all()


def test_an_isotropic_score_makes_the_form_a_mean_square():
    agent, store = make_agent("fisher_decorator")
    _, batch, noise = next(training_steps(agent, store, 1))
    fisher = agent.fisher_information(batch, noise)
    trace = fisher.diagonal(dim1=2, dim2=3).sum(dim=2)
    torch.testing.assert_close(trace, torch.full_like(trace, 3.0))
    torch.testing.assert_close(fisher, fisher.transpose(2, 3))
    assert torch.linalg.eigvalsh(fisher).min() > 0
    agent.fisher_information = lambda batch, noise: torch.eye(3).expand(2, 16, 3, 3)
    _, metrics = agent.actor_loss(batch, noise)
    base = agent.flow_actions(batch.observations, noise["actor_noise"])
    expected = agent.move(batch.observations, base).square().mean(dim=(1, 2))
    torch.testing.assert_close(metrics["actor/divergence"], expected.detach())


def test_the_value_moves_the_actions_as_far_as_the_multiplier_lets_it():
    sizes = {"hidden_dim": 32, "num_hidden_layers": 2, "num_flow_steps": 5}
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3}
    each = [sizes | rates | {"distillation_coefficient": a} for a in (1000.0, 0.1)]
    agent, store = make_agent("fisher_decorator", settings=each, dataset=two_modes())
    _, batch, noise = next(training_steps(agent, store, 1))
    flow = list(agent.behavior_policy.parameters())
    loss = agent.actor_loss(batch, noise)[0].sum()
    assert all(g is None for g in torch.autograd.grad(loss, flow, allow_unused=True))
    for step, batch, noise in training_steps(agent, store, 250, batch_size=64):
        metrics = agent.update(batch, noise, agent.phase(step))
    held, moved = metrics["actor/divergence"].tolist()
    assert held < 1e-3 < 0.05 < moved
    shares = (draw_actions(agent)[..., 0] > 0).mean(axis=1)  # the better mode's side
    assert 0.25 < shares[0] < 0.75
    assert shares[1] > 0.9
