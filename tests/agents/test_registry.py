"""What every agent owes the training loop, one parametrised test each."""

import numpy as np
import pytest
import torch
from core import SMALL, make_agent, make_dataset, state_of_run, train_steps

from dql.agents.registry import SETTINGS, agent_class
from dql.core.noise import NoiseStreams
from dql.errors import UserError

AGENTS = sorted(SETTINGS)


def reads_episodes(name):
    return agent_class(name).windows(SETTINGS[name](**SMALL[name])) is not None


@pytest.mark.parametrize("name", AGENTS)
def test_same_seed_same_weights(name):
    first, store = make_agent(name)
    second, _ = make_agent(name)
    train_steps(first, store, 10)
    train_steps(second, store, 10)
    for key, value in first.state().items():
        assert torch.equal(value, second.state()[key]), key


@pytest.mark.parametrize("name", AGENTS)
def test_a_run_alone_equals_the_same_run_in_company(name):
    company, store = make_agent(name, seeds=(7, 3, 11))
    alone, own_store = make_agent(name, seeds=(3,))
    train_steps(company, store, 200)
    train_steps(alone, own_store, 200)
    together = state_of_run(company, 1)
    for key, value in state_of_run(alone, 0).items():
        np.testing.assert_allclose(
            together[key], value, atol=2e-3, rtol=1e-5, err_msg=key
        )


@pytest.mark.parametrize("name", AGENTS)
def test_restored_agent_continues_bit_for_bit(name):
    straight, store = make_agent(name)
    train_steps(straight, store, 9)
    stopped, _ = make_agent(name)
    train_steps(stopped, store, 5)
    resumed, _ = make_agent(name)
    stored = {key: value.clone() for key, value in stopped.state().items()}
    resumed.load_state(stored, stopped.num_updates())
    train_steps(resumed, store, 4, start=5)
    for key, value in straight.state().items():
        assert torch.equal(value, resumed.state()[key]), key


@pytest.mark.parametrize("name", AGENTS)
def test_every_network_learns_and_metrics_are_finite(name):
    agent, store = make_agent(name)
    before = {key: value.clone() for key, value in agent.state().items()}
    metrics = train_steps(agent, store, 20)
    for values in metrics.values():
        assert values.shape == (2,)
        assert torch.isfinite(values).all()
    assert "actor/bc_loss" in metrics
    moved = {key.split(".")[0] for key in before if _differs(agent, before, key)}
    assert moved >= set(agent.modules) | {"optimizer"}


def _differs(agent, before, key):
    return not torch.equal(before[key], agent.state()[key])


@pytest.mark.parametrize("name", AGENTS)
def test_actions_are_bounded_and_fixed_by_the_noise(name):
    agent, store = make_agent(name)
    train_steps(agent, store, 3)
    observations = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    streams = NoiseStreams((0, 1), agent.evaluation_draws(6), "evaluation", 0)
    noise = streams.at(0)
    actions = agent.sample_actions(observations, noise)
    assert actions.shape == (2, 6, 3)
    assert actions.abs().max() <= 1
    assert torch.equal(actions, agent.sample_actions(observations, noise))
    few = {key: value[:, :2] for key, value in noise.items()}
    part = agent.sample_actions(observations[:, :2], few)
    torch.testing.assert_close(part, actions[:, :2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", AGENTS)
def test_one_step_tasks_need_no_next_action(name):
    dataset = make_dataset()
    dataset.terminations[:] = 1
    if reads_episodes(name):
        with pytest.raises(UserError, match="longer than any episode"):
            make_agent(name, dataset=dataset)
        return
    agent, store = make_agent(name, dataset=dataset)
    assert not any("backup" in key for key in agent.training_draws(16))
    metrics = train_steps(agent, store, 5)
    assert all(torch.isfinite(values).all() for values in metrics.values())


def test_registered_names_are_the_modules():
    for name in AGENTS:
        assert agent_class(name).__module__ == f"dql.agents.{name}"


def test_unknown_agent_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'diffusion_ql'"):
        agent_class("difusion_ql")


def test_runs_of_different_shape_are_refused():
    with pytest.raises(UserError, match="num_denoising_steps"):
        make_agent("diffusion_ql", settings=[{}, {"num_denoising_steps": 7}])


def test_candidates_follow_the_softmax_of_the_critics():
    settings = [{"num_candidates": 3}] * 2
    agent, _ = make_agent("diffusion_ql", settings=settings)
    with torch.no_grad():
        agent.target_critic.mlp.layers[-1].weight *= 30
    draws = agent.evaluation_draws(4000)
    noise = NoiseStreams((0, 1), draws, "evaluation", 0, block_steps=1).at(0)
    noise["chain"] = noise["chain"][:, :1].expand_as(noise["chain"])
    observations = torch.zeros(2, 4000, 5)
    chosen = agent.sample_actions(observations, noise)
    candidates = agent.actor.sample(
        observations[:, :3], noise["chain"][:, 0].contiguous()
    )
    scores = agent.target_critic(observations[:, :3], candidates).amin(dim=1)
    expected = scores.softmax(dim=1)
    same = (chosen[:, :, None] - candidates[:, None]).abs().amax(dim=3) < 1e-6
    np.testing.assert_allclose(
        same.float().mean(dim=1).numpy(), expected.detach().numpy(), atol=0.03
    )


@pytest.mark.parametrize("num_candidates", [1, 10, 50])
def test_greedy_candidates_are_the_best_of_as_many(num_candidates):
    settings = [{"num_candidates": num_candidates, "candidate_rule": "greedy"}] * 2
    agent, store = make_agent("diffusion_ql", settings=settings)
    train_steps(agent, store, 3)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    assert noise["chain"].shape == (2, 4, 4, num_candidates, 3)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    found = agent.sample_actions(observations, noise)
    scores = []
    for candidate in range(num_candidates):
        chain = noise["chain"][:, :, :, candidate].transpose(1, 2).contiguous()
        actions = agent.actor.sample(observations, chain)
        scores.append(agent.target_critic(observations, actions).amin(dim=1))
    best = torch.stack(scores).amax(dim=0)
    found_scores = agent.target_critic(observations, found).amin(dim=1)
    torch.testing.assert_close(found_scores, best)


@pytest.mark.parametrize(
    "name", [name for name in AGENTS if SETTINGS[name].PREPARATION]
)
def test_its_own_policy_is_trained_once_preparation_ends(name):
    lengths = dict.fromkeys(SETTINGS[name].PREPARATION, 7)
    agent, _ = make_agent(name, settings=[SMALL[name] | lengths] * 2)
    end = sum(lengths.values())
    before = {agent.phase(step) for step in range(end)}
    after = {agent.phase(step) for step in range(end, end + 20)}
    assert not before & after


def test_td3_bc_moves_its_actor_every_second_step():
    agent, _ = make_agent("td3_bc")
    assert [agent.phase(step) for step in range(4)] == [
        "critic",
        "actor",
        "critic",
        "actor",
    ]


def test_bcq_as_released_acts_by_its_cvae_alone():
    agent, store = make_agent("bcq", settings=[{"action_rule": "behavior"}] * 2)
    train_steps(agent, store, 5)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = agent.behavior_policy.sample(observations, noise["prior"][:, :, 0])
    torch.testing.assert_close(agent.sample_actions(observations, noise), expected)


def test_learning_rates_fall_to_zero_along_a_cosine():
    agent, _ = make_agent("td3_bc", settings=[{"learning_rate_decay_steps": 8}] * 2)
    rates = []
    for step in (0, 2, 4, 8, 9):
        agent.schedule_learning_rates(step)
        rates.append(agent.optimizers["critic"].learning_rate / 3e-4)
    np.testing.assert_allclose(rates, [1, 0.853553, 0.5, 0, 0], atol=1e-6)


def test_learning_rates_as_released_barely_move():
    # 2,000 epochs of 1,000 steps; its scheduler counts epochs, but moves once in 50.
    settings = {
        "learning_rate_decay_steps": 50_000 * 2_000,
        "learning_rate_decay_interval": 50_000,
    }
    agent, _ = make_agent("diffusion_ql", settings=[settings] * 2)
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=3e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2_000)
    for call in range(40):
        for step in (50_000 * call, 50_000 * call + 49_999):
            agent.schedule_learning_rates(step)
            rate = agent.optimizers["actor"].learning_rate
            assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()
    assert rate / 3e-4 == pytest.approx(0.99906, abs=1e-5)


def test_learning_rates_as_intended_move_every_epoch_to_zero():
    settings = {
        "learning_rate_decay_steps": 6_000,
        "learning_rate_decay_interval": 1_000,
    }
    agent, _ = make_agent("diffusion_ql", settings=[settings] * 2)
    rates = []
    for step in (0, 999, 1_000, 3_500, 5_999, 6_000):
        agent.schedule_learning_rates(step)
        rates.append(agent.optimizers["critic"].learning_rate / 3e-4)
    expected = [1, 1, 0.9330127, 0.5, 0.0669873, 0]
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_learning_rates_are_constant_by_default():
    agent, _ = make_agent("td3_bc")
    agent.schedule_learning_rates(10**6)
    assert agent.optimizers["critic"].learning_rate == 3e-4
