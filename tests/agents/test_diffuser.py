"""Diffuser: its loss by hand, the gradient that guides, the plan that is chosen."""

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from tiny import actions_that_pay

from dql.core.noise import NoiseStreams


def first_batch(**settings):
    agent, store = make_agent("diffuser", settings=[settings] * 2)
    _, batch, noise = next(training_steps(agent, store, 1))
    return agent, batch, noise


def test_the_losses_are_the_papers():
    agent, batch, noise = first_batch(action_weight=10.0, value_scale=2.0)
    facts, signal = agent.spec.episodes, agent.diffusion.scales
    actions = (batch.actions - facts.action_mean[:, None]) / (
        facts.action_std[:, None] + 1e-6
    )
    mean, std = agent.spec.observation_mean, agent.spec.observation_std
    observations = (batch.observations - mean[:, None]) / (std[:, None] + 1e-6)
    plans = torch.cat([actions, observations], dim=-1)
    scales = signal[noise["step"]]
    noisy = scales[..., :1, None] * plans + scales[..., 1:, None] * noise["noise"]
    noisy[:, :, 0, 3:] = plans[:, :, 0, 3:]
    predicted = agent.actor(noisy, noise["step"])
    errors = (predicted - plans).square()
    errors[:, :, 0, 3:] = 0.0
    errors[:, :, 0, :3] *= 10
    bc_loss, value_loss = agent.losses(batch, noise)
    torch.testing.assert_close(bc_loss, errors.mean(dim=(1, 2, 3)))
    returns = batch.returns_to_go[:, :, 0] / 2
    values = agent.value(noisy, noise["step"])
    torch.testing.assert_close(value_loss, (values - returns).square().mean(dim=1))


def test_a_guided_plan_goes_up_the_returns_gradient():
    agent, batch, _ = first_batch(num_guide_steps=1, num_unguided_steps=1)
    plans = agent.plans(batch)
    steps = agent.diffusion.steps_at(2, plans)
    moved = agent.guided(plans, 2) - plans
    variance = agent.diffusion.schedule.noise_scale[2] ** 2
    assert (moved[:, :, 0, 3:] == 0).all()
    scale = agent.settings.guide_scale * variance
    gradient = (moved / scale).double()
    # Where a channel's group hardly varies the value bends within float32's rounding.
    value = agent.target_value.double()
    value.steps.table = value.steps.table.double()
    ahead, behind = (
        value(plans.double() + step * gradient, steps).sum() for step in (1e-5, -1e-5)
    )
    slope = (ahead - behind).item() / 2e-5
    assert gradient.square().sum().item() == pytest.approx(slope, rel=0.02)
    agent.target_value.float()
    assert agent.guided(plans, 0) is plans


def test_the_plan_of_the_largest_return_acts():
    agent, batch, _ = first_batch(num_candidates=5, guide_scale=0.0)
    observations = batch.observations[:, :4, 0]
    draws = agent.evaluation_draws(4)
    noise = NoiseStreams((0, 1), draws, "evaluation", block_steps=1).at(0)
    found = agent.sample_actions(observations, noise)
    facts, singles, values = agent.spec.episodes, [], []
    for candidate in range(5):
        plans = agent.diffusion.sample(
            agent.normalize(observations),
            noise["plan"][:, :, candidate],
            agent.target_actor,
        )
        assert torch.equal(plans[:, :, 0, 3:], agent.normalize(observations))
        steps = agent.diffusion.steps_at(0, plans)
        values.append(agent.target_value(plans, steps))
        actions = plans[:, :, 0, :3] * facts.action_std + facts.action_mean
        singles.append(actions.clamp(-1, 1))
    best = torch.stack(values).argmax(dim=0)
    for run, episode in np.ndindex(2, 4):
        expected = singles[best[run, episode]][run, episode]
        torch.testing.assert_close(found[run, episode], expected, atol=1e-4, rtol=1e-4)
    assert len(best.unique()) > 1


def test_guided_plans_earn_more_than_plans_of_the_data():
    settings = {
        "learning_rate": 2e-3,
        "termination_reward": 0.0,
        "actor_ema_decay": 0.9,
        "num_unguided_steps": 0,
        "num_candidates": 4,
    }
    each = [settings | {"guide_scale": 0.0, "num_candidates": 1}, settings]
    means = []
    for chosen in each:
        agent, store = make_agent(
            "diffuser",
            seeds=(0,),
            settings=[chosen],
            dataset=actions_that_pay(80, 6, 0.9),
        )
        train_steps(agent, store, 150)
        draws = agent.evaluation_draws(50)
        noise = NoiseStreams((0,), draws, "evaluation", block_steps=1).at(0)
        observations = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(0))
        means.append(agent.sample_actions(observations, noise).mean().item())
    assert abs(means[0]) < 0.3
    assert means[1] > means[0] + 0.3


def test_averages_follow_from_their_start_on():
    agent, store = make_agent("diffuser")
    before = [p.clone() for p in agent.target_actor.parameters()]
    train_steps(agent, store, 3)
    assert all(map(torch.equal, before, agent.target_actor.parameters()))
    online = [p.clone() for p in agent.actor.parameters()]
    train_steps(agent, store, 2, start=3)
    moved = list(agent.target_actor.parameters())
    assert not all(map(torch.equal, before, moved))
    assert not all(map(torch.equal, online, moved))
    assert [agent.phase(step) for step in range(3, 7)] == ["step", "ema"] * 2
