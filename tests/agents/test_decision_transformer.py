"""Decision Transformer: its loss by hand, its memory, what a wished return does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from tiny import actions_that_pay

from dql.core.windows import Windows

PLAIN = [{"dropout": 0.0}] * 2


def windows_of(agent, batch):
    """Return a batch as the network reads it."""
    mean = agent.spec.observation_mean[:, None]
    std = agent.spec.observation_std[:, None]
    return Windows(
        (batch.observations - mean) / (std + 1e-6),
        batch.actions,
        batch.returns_to_go / 1000,
        batch.timesteps,
        batch.mask,
    )


def test_the_loss_is_the_mean_square_within_episodes():
    agent, store = make_agent("decision_transformer", settings=PLAIN)
    _, batch, noise = next(training_steps(agent, store, 1))
    predicted = agent.actor(windows_of(agent, batch))
    found = agent.bc_loss(batch, noise["dropout"])
    for run in range(2):
        errors = []
        for row in range(16):
            for step in range(int(batch.mask[run, row].sum())):
                error = predicted[run, row, step] - batch.actions[run, row, step]
                errors += error.square().tolist()
        assert found[run].item() == pytest.approx(np.mean(errors), rel=1e-5)
    assert (batch.mask == 0).any()


def test_where_a_window_is_padded_is_of_no_account():
    """Its authors pad in front of a window's steps."""
    agent, store = make_agent("decision_transformer", settings=PLAIN)
    _, batch, _ = next(training_steps(agent, store, 1))
    behind = windows_of(agent, batch)
    count = behind.mask.sum(dim=2).long()
    slots = (torch.arange(4) + count[..., None]) % 4  # the padding comes first

    def in_front(values):
        index = slots[(...,) + (None,) * (values.ndim - 3)].expand_as(values)
        return values.gather(2, index)

    moved = Windows(*(in_front(value) for value in vars(behind).values()))
    found, expected = agent.actor(moved), in_front(agent.actor(behind))
    is_there = moved.mask > 0
    assert not is_there.all()
    torch.testing.assert_close(found[is_there], expected[is_there], atol=1e-5, rtol=0)


def test_it_decides_by_the_last_steps_and_what_is_left_of_the_return():
    settings = [{"target_return": 500.0, "context_length": 3}] * 2
    agent, store = make_agent("decision_transformer", settings=settings)
    train_steps(agent, store, 30)
    generator = torch.Generator().manual_seed(0)
    observations = torch.randn(2, 4, 7, 5, generator=generator)
    rewards = 100 * torch.randn(2, 4, 7, generator=generator)
    rewards[..., 0] = 0.0  # before the first step
    memory, taken = agent.new_memory(4), []
    for time in range(7):
        now = observations[:, :, time], rewards[:, :, time]
        actions, memory = agent.act(*now, memory, {})
        taken.append(actions)
    taken = torch.stack(taken, dim=2)
    for time in range(7):
        steps = slice(max(0, time - 2), time + 1)
        times = torch.arange(7)[steps].expand(2, 4, -1)
        history = SimpleNamespace(
            observations=observations[:, :, steps],
            actions=taken[:, :, steps],
            returns_to_go=500.0 - rewards.cumsum(dim=2)[:, :, steps],
            timesteps=times,
            mask=torch.ones_like(times),
        )
        expected = agent.actor(windows_of(agent, history))[:, :, -1]
        torch.testing.assert_close(taken[:, :, time], expected, atol=1e-5, rtol=0)


def test_its_first_action_is_the_one_without_a_memory():
    agent, _ = make_agent("decision_transformer")
    observations = torch.randn(2, 4, 5)
    first, _ = agent.act(observations, torch.zeros(2, 4), agent.new_memory(4), {})
    assert torch.equal(agent.sample_actions(observations, {}), first)


@pytest.mark.parametrize("wished", [-0.5, 0.6])
def test_asked_for_a_return_it_acts_for_it(wished):
    settings = {
        "target_return": 5 * wished,
        "return_scale": 1.0,
        "learning_rate": 3e-3,
        "context_length": 3,
        "dropout": 0.0,
    }
    agent, store = make_agent(
        "decision_transformer",
        settings=[settings] * 2,
        dataset=actions_that_pay(60, 5, 0.8),
    )
    train_steps(agent, store, 300)
    memory, rewards = agent.new_memory(3), torch.zeros(2, 3)
    for _ in range(5):
        actions, memory = agent.act(torch.randn(2, 3, 2), rewards, memory, {})
        rewards = actions[..., 0]
        assert (rewards - wished).abs().max() < 0.15


def test_the_learning_rate_rises_then_falls():
    settings = [{"warmup_steps": 4, "learning_rate_decay_steps": 8}] * 2
    agent, _ = make_agent("decision_transformer", settings=settings)
    rates = []
    for step in (0, 1, 3, 4, 8):
        agent.schedule_learning_rates(step)
        rates.append(agent.optimizers["actor"].learning_rate / 1e-4)
    falls = [(1 + np.cos(np.pi * step / 8)) / 2 for step in (0, 1, 3, 4, 8)]
    np.testing.assert_allclose(rates, np.array([0.25, 0.5, 1, 1, 1]) * falls)


def test_dropout_changes_the_loss_and_not_the_policy():
    agent, store = make_agent("decision_transformer", settings=[{"dropout": 0.5}] * 2)
    _, batch, noise = next(training_steps(agent, store, 1))
    first = agent.bc_loss(batch, noise["dropout"])
    assert torch.equal(first, agent.bc_loss(batch, noise["dropout"]))
    assert not torch.allclose(first, agent.bc_loss(batch, noise["dropout"] + 1))
    observations = torch.randn(2, 4, 5)
    actions = [agent.sample_actions(observations, {}) for _ in range(2)]
    assert torch.equal(*actions)
