"""Fisher-BRC: its losses written out, the penalty against autograd, a known optimum."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import perceptron, q_value
from squashed_policies import normal_log_density, policy_outputs, raw_log_density
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

from dql.core.input_gradients import input_gradient
from dql.core.networks import MLP

TINY = {"hidden_dim": 4, "num_hidden_layers": 2, "num_components": 2}


def behavior_density(policy, run, state, raw, num_components):
    """Return log b of tanh(raw): a mixture for every dimension, behind tanh."""
    outputs = np.array(perceptron(policy, run, state))
    logits, means, log_stds = outputs.reshape(3, len(raw), num_components)
    total = 0.0
    for x, weights, mean, log_std in zip(raw, logits, means, log_stds, strict=True):
        shares = np.exp(weights) / np.exp(weights).sum()
        density = sum(
            share * math.exp(normal_log_density(x, m, math.exp(s)))
            for share, m, s in zip(shares, mean, log_std, strict=True)
        )
        total += math.log(density) - math.log(1 - math.tanh(x) ** 2)
    return total


def drawn_raw(actor, run, state, noise):
    means, stds = policy_outputs(actor, run, state)
    return [m + s * e for m, s, e in zip(means, stds, noise, strict=True)]


def penalty_of(critic, run, state, action):
    """Return both critics' squared gradient by the action, by central differences."""
    total, width = 0.0, 1e-6
    for k in (0, 1):
        for d in range(len(action)):
            ends = []
            for sign in (1, -1):
                moved = list(action)
                moved[d] += sign * width
                ends.append(q_value(critic, run, k, state, moved))
            total += ((ends[0] - ends[1]) / (2 * width)) ** 2
    return total


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("fisher_brc", **TINY)
    num_runs, size = batch.rewards.shape
    behavior = agent.behavior_policy  # it rests in these steps
    for run in range(num_runs):
        td_loss = penalty = actor_loss = 0.0
        temperature = math.exp(before["temperature"].value[run, 0].item())
        for b in range(size):
            state, following = (
                x[run, b].tolist()
                for x in (batch.observations, batch.next_observations)
            )
            drawn = noise["backup_action"][run, b].tolist()
            raw = drawn_raw(before["actor"], run, following, drawn)
            action, critic = np.tanh(raw).tolist(), before["target_critic"]
            value = min(q_value(critic, run, k, following, action) for k in (0, 1))
            value += behavior_density(behavior, run, following, raw, 2)
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item() + 5 + 0.99 * goes_on * value
            data = batch.actions[run, b].tolist()
            density = behavior_density(behavior, run, state, np.arctanh(data), 2)
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, data) + density
                td_loss += (q - y) ** 2 / size
            drawn = noise["penalty_action"][run, b].tolist()
            raw = drawn_raw(before["actor"], run, state, drawn)
            action = np.tanh(raw).tolist()
            penalty += penalty_of(before["critic"], run, state, action) / size
            drawn = noise["action"][run, b].tolist()
            raw = drawn_raw(before["actor"], run, state, drawn)
            action = np.tanh(raw).tolist()
            # The critics have taken their step before the actor.
            q = min(q_value(agent.critic, run, k, state, action) for k in (0, 1))
            q += behavior_density(behavior, run, state, raw, 2)
            own = raw_log_density(before["actor"], run, state, raw)
            actor_loss += (temperature * own - q) / size
        expected = {
            "critic/td_loss": (td_loss, 1e-7),
            "critic/penalty": (penalty, 1e-5),
            "critic/loss": (td_loss + 0.1 * penalty, 1e-6),
            "actor/loss": (actor_loss, 1e-7),
        }
        for key, (value, rel) in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=rel), key


def test_the_penaltys_gradient_is_that_of_a_second_pass():
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    mlp = MLP([3, 6, 6, 1], generators, activation="relu", members=2).double()
    mlp.has_kernels = False  # they have no second derivative
    inputs = torch.randn(2, 5, 3, generator=generators[0]).double().requires_grad_()
    found = input_gradient(mlp, inputs)
    for stack in range(4):
        hidden = inputs[stack // 2]
        for layer in mlp.layers[:-1]:
            hidden = (hidden @ layer.weight[stack] + layer.bias[stack]).relu()
        outputs = hidden @ mlp.layers[-1].weight[stack] + mlp.layers[-1].bias[stack]
        (expected,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
        torch.testing.assert_close(found[stack], expected[stack // 2])
        weight = mlp.layers[0].weight
        (twice,) = torch.autograd.grad(expected.square().sum(), weight)
        (mine,) = torch.autograd.grad(
            found[stack].square().sum(), weight, retain_graph=True
        )
        torch.testing.assert_close(mine[stack], twice[stack])


def test_the_clone_trains_first_and_rests_then():
    agent, store = make_agent("fisher_brc")
    for step, batch, noise in training_steps(agent, store, 6):
        old = {key: value.clone() for key, value in agent.state().items()}
        agent.update(batch, noise, agent.phase(step))
        moved = {k.split(".")[0] for k, v in agent.state().items()
                 if not torch.equal(v, old[k])}  # fmt: skip
        clone = {"behavior_policy", "behavior_temperature"}
        rest = {"actor", "critic", "target_critic", "temperature"}
        assert moved == (clone if step < 3 else rest) | {"optimizer"}


def test_bandit_is_solved():
    """Rewards of 5, so that the values tell more than the clone's two equal modes."""
    dataset = make_bandit()
    dataset.rewards = 5 * dataset.rewards
    settings = FAST | {"cloning_steps": 250, "behavior_learning_rate": 3e-3}
    agent, store = make_agent("fisher_brc", settings=[settings] * 2, dataset=dataset)
    for step, batch, noise in training_steps(agent, store, 500, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    actions = agent.sample_actions(states, {})[..., 0]
    torch.testing.assert_close(actions, BEST_ACTIONS, atol=0.25, rtol=0)
