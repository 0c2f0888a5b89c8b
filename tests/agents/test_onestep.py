"""Onestep RL against sums written out and a known optimum."""

import math

import pytest
import torch
from core import make_agent, make_dataset, train_steps
from weighted_bandit import BEST_ACTIONS, log_density, precise_update, solve_bandit


def one_q(critic, observation, action):
    """Return Q of one run's single transition; `critic` holds this run alone."""
    with torch.no_grad():
        return critic(torch.cat([observation, action])[None, None]).item()


def one_run(network, run):
    """Return a function that evaluates one run of a stacked perceptron by itself."""

    def evaluate(inputs):
        for layer in network.layers[:-1]:
            inputs = (inputs @ layer.weight[run] + layer.bias[run]).clamp(min=0)
        last = network.layers[-1]
        return inputs @ last.weight[run] + last.bias[run]

    return evaluate


def clone_sample(network, run, observation, noise):
    """Draw one clipped action of the clone."""
    mean, log_std = one_run(network.mlp, run)(observation[None])[0].chunk(2)
    deviation = log_std.clamp(*network.log_std_range).exp()
    return (mean + deviation * noise).clamp(-1, 1)


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("onestep")
    settings, count = agent.settings, agent.settings.num_value_samples
    clone = agent.behavior_policy  # Q and the policy see the clone's new weights
    num_runs, size = batch.rewards.shape
    with torch.no_grad():
        old_means, old_log_stds = before["behavior_policy"](batch.observations)
        means, log_stds = before["actor"](batch.observations)
    for run in range(num_runs):
        old_q = one_run(before["critic"], run)
        target_q = one_run(before["target_critic"], run)
        new_q = one_run(agent.critic, run)  # and the policy the critic's
        behavior_loss = critic_loss = actor_loss = 0.0
        for b in range(size):
            s, a = batch.observations[run, b], batch.actions[run, b]
            s_next = batch.next_observations[run, b]
            behavior_loss -= log_density(a, old_means[run, b], old_log_stds[run, b])
            a_next = clone_sample(clone, run, s_next, noise["next_action"][run, b])
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item()
            y += settings.discount * goes_on * one_q(target_q, s_next, a_next)
            critic_loss += (one_q(old_q, s, a) - y) ** 2
            value = 0.0
            for k in range(count):
                draw = noise["value_action"][run, b * count + k]
                value += one_q(new_q, s, clone_sample(clone, run, s, draw)) / count
            exponent = settings.inverse_temperature * (one_q(new_q, s, a) - value)
            weight = min(math.exp(exponent), 100.0)
            actor_loss -= weight * log_density(a, means[run, b], log_stds[run, b])
        expected = {
            "behavior/loss": behavior_loss,
            "critic/loss": critic_loss,
            "actor/weighted_loss": actor_loss,
        }
        for key, total in expected.items():
            assert metrics[key][run].item() == pytest.approx(total / size, rel=1e-6)


def test_onestep_solves_a_bandit():
    found = solve_bandit("onestep", inverse_temperature=10.0)
    torch.testing.assert_close(found, BEST_ACTIONS, atol=0.06, rtol=0)


def test_the_policy_does_not_reach_the_critic():
    agent, store = make_agent("onestep", settings=[{"inverse_temperature": 0.1}] * 2)
    other, _ = make_agent("onestep", settings=[{"inverse_temperature": 5.0}] * 2)
    train_steps(agent, store, 5)
    train_steps(other, store, 5)
    for name in ("critic", "target_critic", "behavior_policy"):
        pairs = zip(
            agent.modules[name].parameters(),
            other.modules[name].parameters(),
            strict=True,
        )
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    actors = agent.actor.mlp, other.actor.mlp
    assert not torch.equal(*(actor.layers[0].weight for actor in actors))


def test_one_step_tasks_draw_no_next_action():
    dataset = make_dataset()
    dataset.terminations[:] = 1
    agent, _ = make_agent("onestep", dataset=dataset)
    assert set(agent.training_draws(16)) == {"value_action"}
