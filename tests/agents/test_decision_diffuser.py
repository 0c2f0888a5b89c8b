"""Decision Diffuser: its losses by hand, guidance by a return, inverse dynamics."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps

from dql.core.noise import NoiseStreams
from dql.core.quantiles import to_quantiles


def first_batch(**settings):
    agent, store = make_agent("decision_diffuser", settings=[settings] * 2)
    _, batch, noise = next(training_steps(agent, store, 1))
    return agent, batch, noise


@pytest.mark.parametrize("prediction", ["noise", "plan"])
def test_the_losses_are_the_papers(prediction):
    agent, batch, noise = first_batch(
        return_scale=3.0, condition_dropout=0.5, prediction=prediction
    )
    shape = batch.observations.shape[1:3]
    tables = agent.spec.episodes.observation_quantiles
    plans = to_quantiles(batch.observations.flatten(1, 2), tables).unflatten(1, shape)
    scales = agent.diffusion.scales[noise["step"]]
    noisy = scales[..., :1, None] * plans + scales[..., 1:, None] * noise["noise"]
    noisy[:, :, 0] = plans[:, :, 0]
    returns, is_told = batch.returns_to_go[:, :, 0] / 3, noise["told"] >= 0.5
    assert is_told.any() and not is_told.all()
    condition = agent.actor.return_mlp(returns[..., None])
    condition[~is_told] = 0.0
    predicted = agent.actor.unet(noisy, noise["step"], condition)
    target = noise["noise"] if prediction == "noise" else plans
    errors = (predicted - target).square()
    errors[:, :, 0] = 0.0
    plan_loss, inverse_loss = agent.losses(batch, noise)
    torch.testing.assert_close(plan_loss, errors.mean(dim=(1, 2, 3)))
    expected = []
    for step in range(shape[1] - 1):
        pairs = torch.cat([plans[:, :, step], plans[:, :, step + 1]], dim=-1)
        error = agent.inverse(pairs) - batch.actions[:, :, step]
        expected.append(error.square().mean(dim=(1, 2)))
    torch.testing.assert_close(inverse_loss, torch.stack(expected).mean(dim=0))


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_guidance_goes_from_nothing_to_the_return_and_beyond(weight):
    agent, batch, noise = first_batch(guidance_weight=weight, target_return=0.7)
    plans, steps = noise["noise"], noise["step"]
    with torch.no_grad():
        agent.target_actor.return_mlp.layers[-1].weight.mul_(20)  # a return matters
        condition = agent.target_actor.return_mlp(torch.full((2, 16, 1), 0.7))
        told = agent.target_actor.unet(plans, steps, condition)
        free = agent.target_actor.unet(plans, steps, torch.zeros_like(condition))
        found = agent.guided(plans, steps)
    assert not torch.allclose(told, free, atol=1e-3)
    torch.testing.assert_close(found, (1 - weight) * free + weight * told)


def test_it_acts_by_the_first_two_observations_of_its_plan():
    agent, batch, _ = first_batch(temperature=0.5)
    observations = batch.observations[:, :4, 0]
    draws = agent.evaluation_draws(4)
    noise = NoiseStreams((0, 1), draws, "evaluation", block_steps=1).at(0)
    with torch.no_grad():
        plans = agent.diffusion.sample(
            agent.normalize(observations), 0.5 * noise["plan"], agent.guided
        )
        pairs = torch.cat([plans[:, :, 0], plans[:, :, 1]], dim=-1)
        expected = agent.target_inverse(pairs).clamp(-1, 1)
    assert plans.abs().max() <= 1
    found = agent.sample_actions(observations, noise)
    torch.testing.assert_close(found, expected)


def test_returns_are_in_units_of_the_datas_best():
    agent, _, _ = first_batch()
    best = agent.spec.episodes.best_return
    torch.testing.assert_close(agent.return_scale[:, 0], best.abs())
    agent, _, _ = first_batch(return_scale=400.0)
    assert agent.return_scale.flatten().tolist() == [400.0, 400.0]


def moves_pay(num_episodes=100, length=6):
    """Return walks on a line by the action, which is also what a step pays."""
    generator = np.random.default_rng(0)
    actions = np.repeat(generator.uniform(-0.9, 0.9, num_episodes), length)
    step = np.tile(np.arange(length), num_episodes)
    starts = np.repeat(generator.uniform(-1, 1, num_episodes), length)
    observations = np.stack([starts + step * actions, step], axis=1)
    moved = np.stack([starts + (step + 1) * actions, step + 1], axis=1)
    return SimpleNamespace(
        observations=observations.astype(np.float32),
        actions=actions[:, None],
        rewards=actions,
        next_observations=moved.astype(np.float32),
        terminations=(step == length - 1).astype(float),
    )


def test_asked_for_more_it_goes_further():
    means = {}
    for target in (-0.5, 0.8):
        settings = {
            "target_return": target,
            "learning_rate": 2e-3,
            "termination_reward": 0.0,
            "return_discount": 1.0,
            "actor_ema_decay": 0.9,
            "num_quantiles": 101,
        }
        agent, store = make_agent(
            "decision_diffuser", seeds=(0,), settings=[settings], dataset=moves_pay()
        )
        train_steps(agent, store, 300)
        draws = agent.evaluation_draws(50)
        noise = NoiseStreams((0,), draws, "evaluation", block_steps=1).at(0)
        observations = torch.zeros(1, 50, 2)
        means[target] = agent.sample_actions(observations, noise).mean().item()
    assert means[0.8] > means[-0.5] + 0.3
