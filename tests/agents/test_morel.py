"""MoReL against its pessimistic MDP written out, and a known optimum."""

import math

import pytest
import torch
from core import make_agent, training_steps
from literal_networks import perceptron, q_value
from squashed_policies import literal_log_density, literal_sample
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

from dql.agents.morel import Rollouts
from dql.core.batch import Batch
from dql.core.dynamics import SMALLEST_SCALE

TINY = {
    "hidden_dim": 4,
    "num_hidden_layers": 1,
    "model_hidden_dim": 4,
    "model_num_hidden_layers": 1,
    "num_models": 3,
    "num_rollouts": 7,
    "model_steps": 2,
    "survey_steps": 1,
}


def moments(module, run):
    mean = module.mean[run, 0].tolist()
    return mean, [math.sqrt(v) + SMALLEST_SCALE for v in module.variance[run, 0]]


def predict(model, run, member, state, action):
    """Return f_i(s, a), the reward and the logit of the end."""
    mean, std = moments(model.inputs, run)
    inputs = zip([*state, *action], mean, std, strict=True)
    row = [(x - m) / s for x, m, s in inputs]
    *outcome, logit = perceptron(model.mlp, run, row, members=3, member=member)
    mean, std = moments(model.outputs, run)
    outcome = [m + s * x for m, s, x in zip(mean, std, outcome, strict=True)]
    following = [x + d for x, d in zip(state, outcome[:-1], strict=True)]
    return following, outcome[-1], logit


def discrepancy(model, run, state, action):
    """Return the largest distance between two models' next states."""
    ends = [predict(model, run, member, state, action)[0] for member in range(3)]
    return max(math.dist(first, second) for first in ends for second in ends)


def smaller_q(critic, run, state, action):
    return min(q_value(critic, run, k, state, action) for k in (0, 1))


@pytest.mark.parametrize("coefficient", [1e-9, 1.6, 1e9])
def test_transitions_and_losses_equal_the_pessimistic_mdp_written_out(coefficient):
    before, agent, batch, noise, metrics = precise_update(
        "morel", **TINY, pessimism_coefficient=coefficient, halt_reward=-2.0
    )
    model, rollouts = before["model"], before["rollouts"]
    for run in range(2):
        limit = rollouts.largest[run, 0].item() / coefficient
        temperature = math.exp(before["temperature"].value[run, 0].item())
        critic_loss = actor_loss = rewards = unknown = 0.0
        for n in range(7):
            state = rollouts.states[run, n].tolist()
            drawn = noise["rollout_action"][run, n].tolist()
            action, _ = literal_sample(before["actor"], run, state, drawn)
            following, reward, logit = predict(model, run, n % 3, state, action)
            halts = discrepancy(model, run, state, action) > limit
            reward += -2.0 * halts
            ends = halts or logit > 0
            drawn = noise["backup_action"][run, n].tolist()
            after, density = literal_sample(before["actor"], run, following, drawn)
            value = smaller_q(before["target_critic"], run, following, after)
            y = reward + 0.99 * (not ends) * (value - temperature * density)
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, action)
                critic_loss += (q - y) ** 2 / 7
            drawn = noise["action"][run, n].tolist()
            action, density = literal_sample(before["actor"], run, state, drawn)
            q = smaller_q(before["critic"], run, state, action)
            actor_loss += (temperature * density - q) / 7
            rewards, unknown = rewards + reward / 7, unknown + halts / 7
            start = batch.observations[run, noise["start_row"][run, n]].tolist()
            stands = agent.rollouts.states[run, n].tolist()
            assert stands == pytest.approx(start if ends else following)
        assert metrics["critic/loss"][run].item() == pytest.approx(critic_loss)
        assert metrics["actor/loss"][run].item() == pytest.approx(actor_loss)
        assert metrics["rollout/reward"][run].item() == pytest.approx(rewards)
        assert metrics["rollout/unknown_share"][run].item() == pytest.approx(unknown)
        if coefficient in (1e-9, 1e9):
            assert unknown == pytest.approx(1.0 if coefficient > 1 else 0.0)


def test_the_survey_finds_the_largest_discrepancy_of_the_data():
    before, agent, batch, _, metrics = precise_update(
        "morel", **TINY | {"model_steps": 3}
    )
    for run in range(2):
        pairs = zip(
            batch.observations[run].tolist(), batch.actions[run].tolist(), strict=True
        )
        largest = max(discrepancy(before["model"], run, s, a) for s, a in pairs)
        assert agent.rollouts.largest[run, 0].item() == pytest.approx(largest)
    found = metrics["model/largest_discrepancy"]
    assert torch.equal(found, agent.rollouts.largest[:, 0])


def test_at_first_the_actor_clones_the_data():
    before, _, batch, _, metrics = precise_update("morel", **TINY | {"model_steps": 9})
    for run in range(2):
        likelihood = 0.0
        for b in range(5):
            state = batch.observations[run, b].tolist()
            data = batch.actions[run, b].tolist()
            inside = literal_log_density(before["actor"], run, state, data, 1 - 1e-6)
            likelihood += inside / 5
        assert metrics["actor/loss"][run].item() == pytest.approx(-likelihood)
        assert metrics["actor/bc_loss"][run].item() == pytest.approx(-likelihood)


def test_the_model_learns_in_its_phase_alone():
    agent, store = make_agent("morel")
    phases, moved = [], []
    for step, batch, noise in training_steps(agent, store, 12):
        before = {k: v.clone() for k, v in agent.model.named_parameters()}
        phases.append(agent.phase(step))
        agent.update(batch, noise, phases[-1])
        after = dict(agent.model.named_parameters())
        moved.append(any(not torch.equal(v, after[k]) for k, v in before.items()))
    assert phases == ["model"] * 6 + ["survey"] * 3 + ["step"] * 3
    assert moved == [phase == "model" for phase in phases]


def test_rollouts_begin_anew_where_they_ended_or_are_old():
    rollouts = Rollouts(1, 3, 1)
    rollouts.begin(torch.tensor([[[1.0], [2.0], [3.0]]]))
    starts = torch.full((1, 3, 1), -1.0)

    def go(ends):
        following = rollouts.states + 10
        nothing = torch.zeros(1, 3)
        played = Batch(following, following, nothing, following, torch.tensor([ends]))
        rollouts.advance(played, starts, 3)
        return rollouts.states[0, :, 0].tolist()

    assert go([0.0, 0.0, 1.0]) == [11.0, 12.0, -1.0]
    assert go([0.0, 1.0, 0.0]) == [21.0, -1.0, 9.0]
    assert go([0.0, 0.0, 0.0]) == [-1.0, 9.0, 19.0]  # the first one is 3 steps old
    assert rollouts.ages.tolist() == [[0.0, 1.0, 2.0]]


def test_morel_finds_the_better_side_of_a_bandit_in_its_model():
    settings = FAST | {
        "num_hidden_layers": 2,
        "temperature_learning_rate": 0.03,
        "model_learning_rate": 3e-3,
        "model_hidden_dim": 32,
        "model_steps": 300,
        "survey_steps": 10,
        "num_rollouts": 32,
    }
    agent, store = make_agent("morel", settings=[settings] * 2, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 700, batch_size=32):
        agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    found = agent.sample_actions(states, {})[..., 0]
    assert (found * BEST_ACTIONS.sign() > 0.3).all()
