"""IDQL: its parts by themselves, its choice of candidates, and a known optimum."""

import dataclasses

import numpy as np
import pytest
import torch
from core import double, make_agent, to_double, train_steps, training_steps
from small_bandit import draw_actions, shares_of_modes, two_modes
from weighted_bandit import precise_update

from dql.core.noise import NoiseStreams

BANDIT = {
    "hidden_dim": 32,
    "num_denoising_steps": 10,
    "num_candidates": 10,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "actor_polyak_step_size": 0.02,
}


def evaluation(agent, num_episodes=4):
    draws = agent.evaluation_draws(num_episodes)
    noise = NoiseStreams((0, 1), draws, "evaluation", 0).at(0)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, num_episodes, 5, generator=generator), noise


def candidates_of(agent, actor, observations, noise):
    """Return each candidate's actions and its smaller target critic."""
    for candidate in range(agent.settings.num_candidates):
        chain = noise["chain"][:, :, :, candidate].transpose(1, 2).contiguous()
        actions = actor.sample(observations, chain).detach()
        yield actions, agent.target_critic(observations, actions).amin(dim=1).detach()


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("idql")
    settings = agent.settings
    with torch.no_grad():
        target_q = before["target_critic"](batch.observations, batch.actions)
        q_values = before["critic"](batch.observations, batch.actions)
        old_v = before["value"](batch.observations)
        next_v = agent.value(batch.next_observations)  # Q sees V's new weights
    bar = [1.0]
    for i in range(1, 5):
        bar.append(bar[-1] * np.exp(-0.1 / 4 - 0.5 * 9.9 * (2 * i - 1) / 16))
    for run in range(2):
        value_loss = critic_loss = bc_loss = 0.0
        for b in range(5):
            q = min(target_q[run, 0, b].item(), target_q[run, 1, b].item())
            u = q - old_v[run, b, 0].item()
            value_loss += abs(settings.expectile - (1 if u < 0 else 0)) * u * u
            y = batch.rewards[run, b].item()
            goes_on = 1 - batch.terminations[run, b].item()
            y += settings.discount * goes_on * next_v[run, b, 0].item()
            critic_loss += sum((q_values[run, k, b].item() - y) ** 2 for k in (0, 1))
            i = int(noise["denoising_step"][run, b]) + 1
            eps = noise["noise"][run, b]
            noisy = np.sqrt(bar[i]) * batch.actions[run, b] + np.sqrt(1 - bar[i]) * eps
            every = torch.zeros_like(batch.actions)
            every[run, b] = noisy
            steps = torch.full((2, 5), i - 1)
            with torch.no_grad():
                guess = before["actor"].predictor(batch.observations, every, steps)
            bc_loss += float(((guess[run, b] - eps) ** 2).mean())
        expected = {
            "value/loss": value_loss,
            "critic/loss": critic_loss,
            "actor/bc_loss": bc_loss,
        }
        for key, total in expected.items():
            assert metrics[key][run].item() == pytest.approx(total / 5, rel=1e-5)


def test_average_of_the_clone_follows_it_slowly():
    before, agent, *_ = precise_update("idql", actor_polyak_step_size=0.25)
    moved = False
    for old, online, new in zip(
        before["target_actor"].parameters(),
        agent.actor.parameters(),
        agent.target_actor.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * online)
        moved |= not torch.equal(old, new)
    assert moved


def test_the_critics_do_not_reach_the_clone():
    agent, store = make_agent("idql", settings=[{"expectile": 0.6}] * 2)
    other, _ = make_agent("idql", settings=[{"expectile": 0.9}] * 2)
    train_steps(agent, store, 4)
    train_steps(other, store, 4)
    for key, value in agent.state().items():
        if key.startswith(("actor.", "target_actor.", "optimizer.actor.")):
            assert torch.equal(value, other.state()[key]), key
    for network in ("value", "critic"):
        key = f"{network}{'.mlp' if network == 'critic' else ''}.layers.1.weight"
        assert not torch.equal(agent.state()[key], other.state()[key])


@pytest.mark.parametrize("evaluation_actor", ["ema", "online"])
def test_greedy_rule_takes_the_candidate_of_the_largest_smaller_critic(
    evaluation_actor,
):
    settings = {"evaluation_actor": evaluation_actor, "actor_polyak_step_size": 0.1}
    agent, store = make_agent("idql", settings=[settings] * 2)
    train_steps(agent, store, 5)
    observations, noise = evaluation(agent)
    actor = agent.target_actor if evaluation_actor == "ema" else agent.actor
    options = list(candidates_of(agent, actor, observations, noise))
    scores = torch.stack([score for _, score in options])
    actions = torch.stack([action for action, _ in options])
    best = scores.argmax(dim=0)
    found = agent.sample_actions(observations, noise)
    for run in range(2):
        for episode in range(4):
            expected = actions[best[run, episode], run, episode]
            torch.testing.assert_close(found[run, episode], expected, atol=1e-5, rtol=0)


def test_expectile_rule_draws_better_candidates_more_often():
    settings = [{"candidate_rule": "expectile", "expectile": 0.9, "num_candidates": 2}]
    agent, store = make_agent("idql", settings=settings * 2)
    train_steps(agent, store, 5)
    draws = agent.evaluation_draws(4000)
    noise = NoiseStreams((0, 1), draws, "evaluation", 0, block_steps=1).at(0)
    noise["chain"] = noise["chain"][:, :1].expand_as(noise["chain"])
    observations = torch.zeros(2, 4000, 5)
    few = {"chain": noise["chain"][:, :1]}
    (first, q_first), (second, q_second) = candidates_of(
        agent, agent.target_actor, observations[:, :1], few
    )
    with torch.no_grad():  # V between the two candidates: one is better, one worse
        agent.value.layers[-1].weight.zero_()
        agent.value.layers[-1].bias.copy_((q_first + q_second)[..., None] / 2)
    found = agent.sample_actions(observations, noise)
    for run in range(2):
        better = first if q_first[run] > q_second[run] else second
        is_better = (found[run] - better[run]).abs().amax(dim=1) < 1e-5
        assert abs(is_better.float().mean().item() - 0.9) < 0.02


def test_runs_may_differ_in_their_expectile():
    settings = [{"expectile": 0.6}, {"expectile": 0.9}]
    agent, store = make_agent("idql", settings=settings)
    to_double(agent)
    for step, batch, noise in training_steps(agent, store, 3):
        batch = dataclasses.replace(batch, **double(vars(batch)))
        agent.update(batch, double(noise), agent.phase(step))
    alone, own = make_agent("idql", seeds=(1,), settings=settings[1:])
    to_double(alone)
    for step, batch, noise in training_steps(alone, own, 3):
        batch = dataclasses.replace(batch, **double(vars(batch)))
        alone.update(batch, double(noise), alone.phase(step))
    torch.testing.assert_close(
        agent.value.layers[0].weight[1], alone.value.layers[0].weight[0]
    )


def test_bandit_is_solved_by_choosing():
    agent, store = make_agent("idql", settings=[BANDIT] * 2, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, 500, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    shares = shares_of_modes(draw_actions(agent, 200), radius=0.4)
    assert (shares[:, 0] < 0.02).all()
    assert (shares[:, 1] > 0.7).all()
    generator = torch.Generator().manual_seed(0)
    chain = torch.randn(2, 10, 200, 2, generator=generator)
    clone = agent.target_actor.sample(torch.zeros(2, 200, 2), chain).detach()
    assert (shares_of_modes(clone.numpy(), radius=0.4) > 0.15).all()
