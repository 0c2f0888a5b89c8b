"""SAC against sums written out, and a known optimum."""

import math

import pytest
import torch
from core import make_agent, training_steps
from literal_networks import q_value
from squashed_policies import literal_log_density, literal_sample
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

TINY = {"hidden_dim": 4, "num_hidden_layers": 1}


def smaller_q(critic, run, state, action):
    return min(q_value(critic, run, k, state, action) for k in (0, 1))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_losses_equal_the_papers_equations_written_out(layer_norm):
    sizes = {**TINY, "critic_layer_norm": layer_norm}
    before, agent, batch, noise, metrics = precise_update("sac", **sizes)
    assert bool(before["critic"].mlp.norms) == layer_norm
    discount = agent.settings.discount
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        temperature = math.exp(before["temperature"].value[run, 0].item())
        critic_loss = actor_loss = likelihood = entropy = 0.0
        for b in range(size):
            state, following, data = (
                values[run, b].tolist()
                for values in (
                    batch.observations,
                    batch.next_observations,
                    batch.actions,
                )
            )
            drawn = noise["backup_action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, following, drawn)
            soft = smaller_q(before["target_critic"], run, following, action)
            soft -= temperature * density
            goes_on = 1 - batch.terminations[run, b].item()
            y = batch.rewards[run, b].item() + discount * goes_on * soft
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, data)
                critic_loss += (q - y) ** 2 / size
            drawn = noise["action"][run, b].tolist()
            action, density = literal_sample(before["actor"], run, state, drawn)
            q = smaller_q(before["critic"], run, state, action)
            actor_loss += (temperature * density - q) / size
            entropy -= density / size
            inside = literal_log_density(before["actor"], run, state, data, 1 - 1e-6)
            likelihood += inside / size
        found = {name: values[run].item() for name, values in metrics.items()}
        assert found["critic/loss"] == pytest.approx(critic_loss, rel=1e-7)
        assert found["actor/loss"] == pytest.approx(actor_loss, rel=1e-7)
        assert found["actor/entropy"] == pytest.approx(entropy, rel=1e-7)
        assert found["actor/bc_loss"] == pytest.approx(-likelihood, rel=1e-7)
        # Below its target, -A, the temperature rises; above it, it falls.
        moved = agent.log_temperature.value[run, 0] - before["temperature"].value[run]
        assert moved.sign() == math.copysign(1, -agent.spec.action_dim - entropy)


def test_the_gradient_of_the_actor_passes_through_its_own_action():
    """One step on the actor raises the value of what it does, at no temperature."""
    agent, store = make_agent("sac")
    with torch.no_grad():
        agent.log_temperature.value.fill_(-30.0)
    _, batch, noise = next(training_steps(agent, store, 1))

    def value():
        mean, log_std = agent.actor(batch.observations)
        raw = mean + log_std.exp() * noise["action"]
        q_values = agent.critic(batch.observations, raw.tanh())
        return q_values.amin(dim=1).mean(dim=1)

    before = value()
    critic = {k: v.clone() for k, v in agent.critic.named_parameters()}
    agent.update(batch, noise, agent.phase(0))
    with torch.no_grad():
        for name, parameter in agent.critic.named_parameters():
            parameter.copy_(critic[name])
    assert (value() > before).all()


def test_sac_finds_the_better_side_of_a_bandit():
    settings = FAST | {"num_hidden_layers": 2, "temperature_learning_rate": 0.03}
    agent, store = make_agent("sac", settings=[settings] * 2, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=32):
        agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    found = agent.sample_actions(states, {})[..., 0]
    # Nothing keeps it to the data: it may go past the best recorded action.
    assert (found * BEST_ACTIONS.sign() > 0.45).all()
