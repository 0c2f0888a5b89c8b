"""CQL against sums written out, numbers worked by hand, and a known optimum."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import q_value
from squashed_policies import literal_log_density, literal_sample, normal_log_density
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

from dql.core.losses import conservative_gap, squashed_log_likelihood

TINY = {
    "hidden_dim": 4,
    "num_hidden_layers": 1,
    "num_sampled_actions": 2,
    "cloning_steps": 0,
}


def test_squashed_density_is_the_change_of_variables_and_integrates_to_one():
    actions = torch.linspace(-1, 1, 20001, dtype=torch.float64)[1:-1]
    mean = torch.tensor([0.3, -0.5], dtype=torch.float64)[:, None, None]
    log_std = torch.tensor([-0.5, -0.3], dtype=torch.float64)[:, None, None]
    raw = actions.atanh()[None, :, None].expand(2, -1, 1)
    found = squashed_log_likelihood(raw, mean, log_std)
    for run in range(2):
        for index in (0, 5000, 19000):
            x = raw[run, index, 0].item()
            expected = normal_log_density(
                x, mean[run].item(), log_std[run].exp().item()
            )
            expected -= math.log(1 - math.tanh(x) ** 2)
            assert found[run, index].item() == pytest.approx(expected, rel=1e-8)
    area = torch.trapezoid(found.exp(), actions)
    torch.testing.assert_close(area, torch.ones(2).double(), atol=1e-4, rtol=0)


def test_squashed_density_survives_a_saturated_tanh():
    raw = torch.full((1, 1, 1), 50.0)
    found = squashed_log_likelihood(raw, raw, torch.zeros(1, 1, 1)).item()
    # log(1 - tanh(x)^2) approaches 2 log 2 - 2 x.
    expected = -0.5 * math.log(2 * math.pi) - 2 * math.log(2) + 100
    assert found == pytest.approx(expected, rel=1e-6)


def test_gap_by_hand():
    q_values = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 6)
    log_densities = torch.full((1, 4, 6), math.log(0.25))
    gap = conservative_gap(q_values, log_densities, torch.full((1, 2, 4), 2.0))
    # log(6 / 0.25) above the sampled value, minus the data's value of 2
    expected = torch.tensor([[math.log(24) - 1, math.log(24) + 1]])
    torch.testing.assert_close(gap, expected)


def literal_gap(agent, before, batch, noise, run, b, which, data_q):
    """Return one transition's conservative term for one critic."""
    state, following = (
        x[run, b].tolist() for x in (batch.observations, batch.next_observations)
    )
    count = agent.settings.num_sampled_actions
    terms = []
    for k in range(b * count, (b + 1) * count):
        action = [2 * u - 1 for u in noise["uniform_actions"][run, k].tolist()]
        log_weight = -len(action) * math.log(0.5)
        terms.append(q_value(before["critic"], run, which, state, action) + log_weight)
        for place, name in ((state, "policy"), (following, "next_policy")):
            drawn = noise[f"{name}_actions"][run, k].tolist()
            action, density = literal_sample(before["actor"], run, place, drawn)
            terms.append(q_value(before["critic"], run, which, state, action) - density)
    return math.log(sum(math.exp(term) for term in terms)) - data_q


def literal_target(agent, before, batch, noise, run, b, temperature):
    following = batch.next_observations[run, b].tolist()
    drawn = noise["backup_action"][run, b].tolist()
    action, density = literal_sample(before["actor"], run, following, drawn)
    critic = before["target_critic"]
    value = min(q_value(critic, run, k, following, action) for k in (0, 1))
    if agent.settings.backup_entropy:
        value -= temperature * density
    goes_on = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + agent.settings.discount * goes_on * value


@pytest.mark.parametrize(
    "settings",
    [
        {"conservative_coefficient": 10.0},
        {"backup_entropy": True, "gap_threshold": 0.7},
        {"cloning_steps": 100},
    ],
    ids=["fixed", "lagrange", "cloning"],
)
def test_losses_equal_sums_written_out(settings):
    before, agent, batch, noise, metrics = precise_update("cql", **TINY | settings)
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        # The policy and the backup see the temperature's new value.
        temperature = math.exp(agent.temperature.value[run, 0].item())
        assert agent.temperature.value[run] != before["temperature"].value[run]
        td_loss = actor_loss = 0.0
        gaps = [0.0, 0.0]
        for b in range(size):
            state = batch.observations[run, b].tolist()
            data = batch.actions[run, b].tolist()
            y = literal_target(agent, before, batch, noise, run, b, temperature)
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, data)
                td_loss += (q - y) ** 2 / size
                gap = literal_gap(agent, before, batch, noise, run, b, k, q)
                gaps[k] += gap / size
            drawn = noise["action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, state, drawn)
            if agent.settings.cloning_steps:
                value = literal_log_density(before["actor"], run, state, data, 1 - 1e-6)
            else:
                value = min(
                    q_value(before["critic"], run, k, state, action) for k in (0, 1)
                )
            actor_loss += (temperature * density - value) / size
        alpha = agent.settings.conservative_coefficient
        penalty = sum(alpha * gap for gap in gaps)
        if agent.settings.gap_threshold is not None:
            multiplier = math.exp(agent.multiplier.value[run, 0].item())
            tau = agent.settings.gap_threshold
            penalty = sum(multiplier * (alpha * gap - tau) for gap in gaps)
        assert metrics["critic/td_loss"][run].item() == pytest.approx(td_loss, rel=1e-7)
        assert metrics["critic/gap"][run].item() == pytest.approx(np.mean(gaps))
        expected = td_loss + penalty
        assert metrics["critic/loss"][run].item() == pytest.approx(expected, rel=1e-7)
        assert metrics["actor/loss"][run].item() == pytest.approx(actor_loss, rel=1e-7)


def test_temperature_rises_below_the_target_entropy_and_falls_above():
    agent, _ = make_agent("cql")
    # Three action dimensions: the target is an entropy of -3.
    densities = torch.tensor([[3.5, 3.1], [2.9, 2.5]])
    agent.update_temperature("temperature", densities, -3)
    assert agent.temperature.value[0] > 0 > agent.temperature.value[1]


def test_multiplier_rises_while_the_gap_exceeds_its_threshold():
    agent, _ = make_agent("cql", settings=[{"gap_threshold": 1.0}] * 2)
    agent.update_multiplier(torch.tensor([[0.5, 0.1], [0.5, -0.9]]))
    assert agent.multiplier.value[0] > 0 > agent.multiplier.value[1]


def test_the_policy_clones_first_and_then_improves():
    agent, _ = make_agent("cql", settings=[{"cloning_steps": 2}] * 2)
    assert [agent.phase(step) for step in range(4)] == [
        "clone",
        "clone",
        "step",
        "step",
    ]


OUTSIDE = [-1.0, -0.2, 0.0, 0.2, 1.0]


@pytest.fixture(scope="module")
def solved():
    """Two runs on the bandit of the weighted methods: without and with the term."""
    settings = FAST | {"num_hidden_layers": 2, "cloning_steps": 0}
    each = [settings | {"conservative_coefficient": alpha} for alpha in (0.0, 0.3)]
    agent, store = make_agent("cql", settings=each, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=32):
        agent.update(batch, noise, agent.phase(step))
    return agent


def values_in(agent, state):
    """Return both runs' values of the bad, the best and the outside actions."""
    actions = torch.tensor([-0.6 * state, 0.6 * state, *OUTSIDE])[:, None]
    actions = actions.expand(2, -1, 1)
    q_values = agent.critic(torch.full_like(actions, state), actions)
    return q_values.detach().mean(dim=1)


def test_cql_finds_the_best_action_of_a_bandit(solved):
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    found = solved.sample_actions(states, {})[..., 0]
    torch.testing.assert_close(found[1], BEST_ACTIONS[1], atol=0.12, rtol=0)


@pytest.mark.parametrize("state", [-1.0, 1.0])
def test_actions_outside_the_data_are_valued_below_the_datas(solved, state):
    free, conservative = values_in(solved, state)
    bad, best = conservative[:2]
    assert best > bad + 0.5
    # Between the data's actions and beyond them, below even the bad one.
    assert conservative[2:].max() < bad
    # Without the term the critics grow beyond the data, towards an action of 1.
    assert free[2:].max() > free[1]
