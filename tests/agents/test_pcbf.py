"""PCBF: the coupled path written out, its ends, and returns with a known law."""

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import perceptron
from small_bandit import draw_actions, two_modes
from weighted_bandit import precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 2, "num_flow_steps": 2}


def velocity(critic, run, k, z, t, state, action):
    row = [z, t, *state, *action]
    return perceptron(critic, run, row, members=2, member=k)[0]


def clipped_flow(agent, flow, run, state, start):
    point = np.array(start)
    for step in range(2):
        move = np.array(perceptron(flow.mlp, run, [*state, *point, step / 2]))
        point = np.clip(point + move / 2, -1, 1)
    return point


def literal_path(agent, before, batch, noise, run, b):
    """Return z and u of one transition."""
    bounds = [x[run, 0].item() / 0.01 for x in (agent.rewards.low, agent.rewards.high)]
    state = batch.next_observations[run, b].tolist()
    best, action = -np.inf, None
    for row in range(3 * b, 3 * b + 3):
        drawn = noise["backup_start"][run, row].tolist()
        candidate = clipped_flow(agent, before["actor"], run, state, drawn)
        x = noise["backup_return_noise"][run, row, 0].item()
        q = max(
            np.clip(
                x + velocity(before["critic"], run, k, x, 0.0, state, candidate),
                *bounds,
            )
            for k in (0, 1)
        )
        if q > best:
            best, action = q, candidate
    x, t = (noise[f"return_{name}"][run, b, 0].item() for name in ("noise", "time"))
    target, ends = before["target_critic"], []
    for k in (0, 1):
        end = x
        for step in range(2):
            move = velocity(target, run, k, end, step / 2, state, action)
            end = np.clip(end + move / 2, *bounds)
        ends.append(end)
    end, goes_on = max(ends), 1 - batch.terminations[run, b].item()
    g, r = 0.99 * goes_on, batch.rewards[run, b].item()
    between = (1 - t) * x + t * end
    z = t * r + g * between + (1 - t) * (1 - g) * x
    control = max(velocity(target, run, k, between, t, state, action) for k in (0, 1))
    u = r + g * end - x + 0.8 * goes_on * (control - (end - x))
    return z, t, u


def test_losses_equal_sums_written_out():
    before, agent, batch, noise, metrics = precise_update("pcbf", **TINY)
    for run in range(2):
        critic_loss, errors = 0.0, []
        for b in range(5):
            z, t, u = literal_path(agent, before, batch, noise, run, b)
            state, data = batch.observations[run, b].tolist(), batch.actions[run, b]
            for k in (0, 1):
                found = velocity(before["critic"], run, k, z, t, state, data.tolist())
                critic_loss += (found - u) ** 2 / 5
            time = noise["flow_time"][run, b].item()
            eps = noise["flow_noise"][run, b].numpy()
            point = (1 - time) * eps + time * data.numpy()
            guess = perceptron(before["actor"].mlp, run, [*state, *point, time])
            errors += list((guess - (data.numpy() - eps)) ** 2)
        expected = {"critic/loss": critic_loss, "actor/bc_loss": np.mean(errors)}
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7), key


@pytest.mark.parametrize("time", [0.0, 1.0])
def test_the_path_begins_in_noise_and_ends_at_the_bellman_target(time):
    agent, store = make_agent("pcbf", settings=[{"control_coefficient": 0.0}] * 2)
    _, batch, noise = next(training_steps(agent, store, 1))
    noise["return_time"].fill_(time)
    agent.rewards.see(batch.rewards)
    point, slope = agent.path(batch, noise)
    x = noise["return_noise"]
    # The velocity of a straight path is its end minus its start.
    torch.testing.assert_close(point, x if time == 0 else x + slope)


def test_the_range_of_rewards_only_widens():
    agent, _ = make_agent("pcbf")
    agent.rewards.see(torch.tensor([[1.0, 3.0], [-2.0, -1.0]]))
    agent.rewards.see(torch.tensor([[2.0, 2.0], [-1.0, 4.0]]))
    assert agent.rewards.low[:, 0].tolist() == [0.0, -2.0]
    assert agent.rewards.high[:, 0].tolist() == [3.0, 4.0]
    found = agent.clip(torch.tensor([[[-5.0], [500.0]], [[-500.0], [5.0]]]))
    expected = torch.tensor([[[0.0], [300.0]], [[-200.0], [5.0]]])
    torch.testing.assert_close(found, expected)


def test_the_better_of_two_modes_is_chosen():
    sizes = {"hidden_dim": 32, "num_hidden_layers": 2, "num_flow_steps": 5}
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3, "num_candidates": 8}
    each = [sizes | rates] * 2
    agent, store = make_agent("pcbf", settings=each, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    shares = (draw_actions(agent)[..., 0] > 0).mean(axis=1)
    assert (shares > 0.9).all()  # behaviour cloning: 0.5
