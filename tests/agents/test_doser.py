"""DOSER against its equations written out, and a known optimum."""

import copy
import dataclasses
import math

import pytest
import torch
from core import double, make_agent, to_double, training_steps
from literal_networks import perceptron
from squashed_policies import literal_sample
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit

TINY = {
    "hidden_dim": 4,
    "num_hidden_layers": 1,
    "actor_num_hidden_layers": 1,
    "pretraining_steps": 1,
    "survey_steps": 1,
    "num_action_samples": 2,
    "num_sampling_steps": 2,
    "smallest_q": -3.0,
    "suppression_coefficient": 0.3,
    "compensation_coefficient": 0.7,
    "compensation_scale": 0.9,
    "expectile": 0.8,
}
SIZE = 5


def precise_update(action_threshold, state_threshold):
    """Take a step of the actor in float64, the thresholds as given."""
    agent, store = make_agent("doser", settings=[TINY] * 2)
    to_double(agent)
    for step, batch, noise in training_steps(agent, store, 6, SIZE):
        batch = dataclasses.replace(batch, **double(vars(batch)))
        noise = double(noise)
        agent.models.action_threshold.fill_(action_threshold)
        agent.models.state_threshold.fill_(state_threshold)
        before = copy.deepcopy(agent.modules)
        phase = agent.phase(step)
        metrics = agent.update(batch, noise, phase)
    assert phase == "actor"
    states = agent.normalize(batch.observations)
    following = agent.normalize(batch.next_observations)
    batch = dataclasses.replace(batch, observations=states, next_observations=following)
    return before, agent, batch, noise, metrics


def q_values(critic, run, state, action):
    row = [*state, *action]
    return [perceptron(critic.mlp, run, row, members=4, member=k)[0] for k in range(4)]


def v_values(value, run, state):
    return [perceptron(value.mlp, run, state, members=2, member=k)[0] for k in (0, 1)]


def next_state(models, run, state, action):
    return perceptron(models.dynamics, run, [*state, *action])[:-1]


@pytest.mark.parametrize(
    ("thresholds", "kinds"),
    [((0.0, 1e9), {"good", "bad"}), ((0.0, 0.0), {"bad"}), ((1e9, 0.0), {"inside"})],
)
def test_losses_equal_the_papers_equations_written_out(thresholds, kinds):
    before, agent, batch, noise, metrics = precise_update(*thresholds)
    models, critic = before["models"], before["critic"]
    drawn = [noise[f"sample_{name}"] for name in ("start", "level", "noise")]
    with torch.no_grad():
        samples = models.sample_actions(batch.observations, *drawn)
    found = set()
    for run in range(2):
        # The temperature has taken its step before.
        temperature = math.exp(agent.log_temperature.value[run, 0].item())
        td_loss = bad = good = value_loss = actor_loss = 0.0
        for b in range(SIZE):
            state = batch.observations[run, b].tolist()
            following = batch.next_observations[run, b].tolist()
            data = batch.actions[run, b].tolist()
            reward = batch.rewards[run, b].item()
            goes_on = 1 - batch.terminations[run, b].item()
            eps = noise["backup_action"][run, b].tolist()
            after, density = literal_sample(before["target_actor"], run, following, eps)
            soft = min(q_values(before["target_critic"], run, following, after))
            y = reward + 0.99 * goes_on * (soft - temperature * density)
            td_loss += sum((q - y) ** 2 for q in q_values(critic, run, state, data))
            v = min(v_values(before["target_value"], run, following))
            for own in v_values(before["value"], run, state):
                u = reward + 0.99 * goes_on * v - own
                value_loss += (0.2 if u < 0 else 0.8) * u * u
            eps = noise["action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, state, eps)
            actor_loss += temperature * density
            actor_loss -= min(q_values(critic, run, state, action))
            # The actor has taken its step before the critics.
            eps = noise["policy_action"][run, b].tolist()
            action, _ = literal_sample(agent.actor, run, state, eps)
            options = samples[run, 2 * b : 2 * b + 2].tolist()
            scores = [min(q_values(critic, run, state, a)) for a in options]
            best = options[scores.index(max(scores))]
            ends = [next_state(models, run, state, a) for a in (action, best)]
            value, best_value = (min(v_values(before["value"], run, e)) for e in ends)
            if thresholds[0] > 1e6:
                found.add("inside")
            elif thresholds[1] > 1e6 and value >= best_value:
                found.add("good")
                aim = 0.9 * (max(scores) + value - best_value)
                q = q_values(critic, run, state, action)
                good += sum((x - aim) ** 2 for x in q)
            else:
                found.add("bad")
                q = q_values(critic, run, state, action)
                bad += sum((x + 3.0) ** 2 for x in q)
        loss = td_loss / SIZE + (0.3 * bad + 0.7 * good) / (4 * SIZE)
        expected = {
            "critic/td_loss": td_loss / SIZE,
            "critic/loss": loss,
            "value/loss": value_loss / SIZE,
            "actor/loss": actor_loss / SIZE,
        }
        for key, number in expected.items():
            assert metrics[key][run].item() == pytest.approx(number, rel=1e-7), key
    assert found == kinds


def test_models_learn_first_then_thresholds_then_every_second_step_the_actor():
    agent, store = make_agent("doser")
    phases = []
    names = ("models", "critic", "value", "actor", "target_actor", "temperature")
    moves = {name: [] for name in names}
    for step, batch, noise in training_steps(agent, store, 11):
        before = {name: value.clone() for name, value in agent.state().items()}
        phases.append(agent.phase(step))
        agent.update(batch, noise, phases[-1])
        after = agent.state()
        for name, steps in moves.items():
            keys = [key for key in before if key.startswith(f"{name}.")]
            if any(not torch.equal(before[key], after[key]) for key in keys):
                steps.append(step)
    assert phases == ["model"] * 4 + ["survey"] * 3 + ["critic", "actor"] * 2
    assert moves == {
        "models": [0, 1, 2, 3, 4, 5, 6],
        "critic": [7, 8, 9, 10],
        "value": [7, 8, 9, 10],
        "temperature": [7, 8, 9, 10],
        "actor": [8, 10],
        "target_actor": [8, 10],
    }


def test_exploring_and_deciding_see_the_same_observations():
    each = [{"action_rule": "sample"}] * 2
    agent, _ = make_agent("doser", settings=each)
    observations = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    noise = {"noise": torch.zeros(2, 6, 3)}
    mean = agent.actor(agent.normalize(observations))[0].tanh()
    for decide in (agent.sample_actions, agent.explore):
        torch.testing.assert_close(decide(observations, noise), mean.detach())


def test_doser_finds_the_better_side_of_a_bandit():
    settings = FAST | {
        "num_hidden_layers": 2,
        "temperature_learning_rate": 0.03,
        "model_learning_rate": 3e-3,
        "pretraining_steps": 200,
        "survey_steps": 10,
        "num_sampling_steps": 5,
        "smallest_q": -1.0,
    }
    agent, store = make_agent("doser", settings=[settings] * 2, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 800, batch_size=32):
        agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    found = agent.sample_actions(states, {})[..., 0]
    assert (found * BEST_ACTIONS.sign() > 0.3).all()
