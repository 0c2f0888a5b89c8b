"""BRAC against sums written out, a divergence known exactly, and a known optimum."""

import pytest
import torch
from core import make_agent, training_steps
from literal_networks import q_value
from squashed_policies import literal_log_density, literal_sample
from weighted_bandit import BEST_ACTIONS, FAST, make_bandit, precise_update

KEYS = ("actor/loss", "critic/loss", "behavior/loss", "behavior/entropy")
TINY = {
    "hidden_dim": 4,
    "critic_hidden_dim": 5,
    "num_divergence_samples": 2,
    "cloning_steps": 0,
    "penalty_coefficient": 0.7,
}


def literal_divergence(agent, before, noise, run, b, state):
    """Return the mean of log pi - log b over samples of pi."""
    count = agent.settings.num_divergence_samples
    total = 0.0
    for k in range(b * count, (b + 1) * count):
        drawn = noise[run, k].tolist()
        action, density = literal_sample(before["actor"], run, state, drawn)
        clone = before["behavior_policy"]
        total += density - literal_log_density(clone, run, state, action, 1 - 1e-3)
    return total / count


def literal_target(agent, before, batch, noise, run, b):
    following = batch.next_observations[run, b].tolist()
    drawn = noise["backup_action"][run, b].tolist()
    action, _ = literal_sample(before["actor"], run, following, drawn)
    critic = before["target_critic"]
    value = min(q_value(critic, run, k, following, action) for k in (0, 1))
    if agent.settings.penalty == "value":
        drawn = noise["backup_divergence_actions"]
        divergence = literal_divergence(agent, before, drawn, run, b, following)
        value -= agent.settings.penalty_coefficient * divergence
    goes_on = 1 - batch.terminations[run, b].item()
    return batch.rewards[run, b].item() + agent.settings.discount * goes_on * value


@pytest.mark.parametrize(
    "settings",
    [{"penalty": "value"}, {"penalty": "policy"}, {"cloning_steps": 100}],
    ids=["value", "policy", "cloning"],
)
def test_losses_equal_sums_written_out(settings):
    before, agent, batch, noise, metrics = precise_update("brac", **TINY | settings)
    num_runs, size = batch.rewards.shape
    temperatures = before["behavior_temperature"].value[:, 0].exp()
    for run in range(num_runs):
        sums = dict.fromkeys(KEYS, 0.0)
        for b in range(size):
            state = batch.observations[run, b].tolist()
            data = batch.actions[run, b].tolist()
            y = literal_target(agent, before, batch, noise, run, b)
            for k in (0, 1):
                q = q_value(before["critic"], run, k, state, data)
                sums["critic/loss"] += (q - y) ** 2
            drawn = noise["divergence_actions"]
            sums["actor/loss"] += 0.7 * literal_divergence(
                agent, before, drawn, run, b, state
            )
            if not agent.settings.cloning_steps:
                drawn = noise["action"][run, b].tolist()
                action, _ = literal_sample(before["actor"], run, state, drawn)
                sums["actor/loss"] -= min(
                    q_value(before["critic"], run, k, state, action) for k in (0, 1)
                )
            clone = before["behavior_policy"]
            drawn = noise["behavior_action"][run, b].tolist()
            _, density = literal_sample(clone, run, state, drawn)
            sums["behavior/entropy"] -= density
            sums["behavior/loss"] += temperatures[run].item() * density
            sums["behavior/loss"] -= literal_log_density(
                clone, run, state, data, 1 - 1e-3
            )
        for key, total in sums.items():
            assert metrics[key][run].item() == pytest.approx(total / size, rel=1e-7)


def test_divergence_is_that_of_the_gaussians_before_the_tanh(monkeypatch):
    agent, _ = make_agent("brac", settings=[{"num_divergence_samples": 20000}] * 2)
    size = (2, 1, 3)
    mean, log_std = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([-1.0, -0.7, -1.5])
    policy = mean.expand(size), log_std.expand(size)
    clone = torch.zeros(size), torch.full(size, -0.5)
    monkeypatch.setattr(agent.actor, "forward", lambda observations: policy)
    monkeypatch.setattr(agent.behavior_policy, "forward", lambda observations: clone)
    noise = torch.randn(2, 20000, 3, generator=torch.Generator().manual_seed(0))
    found = agent.divergence(torch.zeros(2, 1, 5), noise)
    variances = (2 * log_std).exp(), torch.tensor(-1.0).exp()
    # KL(N(m, s^2), N(0, t^2)) = log(t / s) + (s^2 + m^2) / (2 t^2) - 1 / 2
    each = -0.5 - log_std + (variances[0] + mean**2) / (2 * variances[1]) - 0.5
    torch.testing.assert_close(found, each.sum().expand(2, 1), atol=0.03, rtol=0)


def test_the_divergence_is_zero_where_the_policy_is_the_clone():
    agent, _ = make_agent("brac")
    agent.actor.load_state_dict(agent.behavior_policy.state_dict())
    noise = 0.5 * torch.randn(2, 6 * 4, 3, generator=torch.Generator().manual_seed(0))
    observations = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(1))
    divergence = agent.divergence(observations, noise)
    torch.testing.assert_close(divergence, torch.zeros(2, 6), atol=1e-4, rtol=0)


def test_the_divergence_moves_the_policy_and_not_the_clone():
    agent, _ = make_agent("brac")
    noise = torch.randn(2, 6 * 4, 3, generator=torch.Generator().manual_seed(0))
    loss = agent.divergence(torch.zeros(2, 6, 5), noise).sum()
    names = ("actor", "behavior_policy")
    parameters = [list(agent.modules[name].parameters()) for name in names]
    moved, still = (
        torch.autograd.grad(loss, p, allow_unused=True, retain_graph=True)
        for p in parameters
    )
    assert all(gradient is not None for gradient in moved)
    assert all(gradient is None for gradient in still)


def test_the_clones_entropy_is_held_and_its_mean_stays_the_datas():
    """Actions are one number per state: likelihood alone would shrink every std."""
    observations = torch.linspace(-1, 1, 64)[:, None]
    dataset = make_bandit(64)
    dataset.observations, dataset.actions = observations.numpy(), 0.5 * observations
    settings = {"hidden_dim": 16, "critic_hidden_dim": 4, "cloning_steps": 10**6}
    settings |= {"behavior_learning_rate": 1e-2}
    agent, store = make_agent("brac", settings=[settings] * 2, dataset=dataset)
    entropies = []
    for step, batch, noise in training_steps(agent, store, 600, batch_size=64):
        metrics = agent.update(batch, noise, agent.phase(step))
        entropies.append(metrics["behavior/entropy"])
    # Dual ascent swings about -A; the smallest deviation's entropy would be -3.6.
    average = torch.stack(entropies[300:]).mean(dim=0)
    torch.testing.assert_close(average, torch.full((2,), -1.0), atol=0.4, rtol=0)
    mean, _ = agent.behavior_policy(observations.expand(2, 64, 1))
    found = mean.tanh().detach()
    wanted = 0.5 * observations.expand(2, 64, 1)
    torch.testing.assert_close(found, wanted, atol=0.15, rtol=0)


def test_every_deviation_can_learn_wherever_it_begins():
    agent, _ = make_agent("brac")
    observations = torch.randn(2, 64, 5, generator=torch.Generator().manual_seed(0))
    _, log_std = agent.actor(100 * observations)  # outputs far outside the range
    low, high = agent.actor.log_std_range
    assert ((low <= log_std) & (log_std <= high)).all()
    outputs = agent.actor.mlp(observations).detach().requires_grad_()
    assert (outputs[..., 3:] > high).any()  # where a clamp would pass nothing back
    agent.actor.mlp.forward = lambda _: outputs
    _, log_std = agent.actor(observations)
    (gradient,) = torch.autograd.grad(log_std.sum(), outputs)
    assert (gradient[..., 3:] > 0).all()


def test_only_brac_v_draws_for_the_targets_penalty():
    draws = {
        penalty: make_agent("brac", settings=[{"penalty": penalty}] * 2)[0]
        .training_draws(4)
        .keys()
        for penalty in ("value", "policy")
    }
    assert draws["value"] - draws["policy"] == {"backup_divergence_actions"}


def test_a_small_penalty_finds_the_best_action_and_a_large_one_the_behaviour():
    settings = FAST | {"critic_hidden_dim": 32, "behavior_learning_rate": 3e-3}
    settings |= {"cloning_steps": 100}
    each = [settings | {"penalty_coefficient": alpha} for alpha in (0.1, 100.0)]
    agent, store = make_agent("brac", settings=each, dataset=make_bandit())
    for step, batch, noise in training_steps(agent, store, 300, batch_size=32):
        metrics = agent.update(batch, noise, agent.phase(step))
    states = torch.tensor([[-1.0], [1.0]]).expand(2, 2, 1)
    found = agent.sample_actions(states, {})[..., 0]
    # One wide Gaussian is the clone of two modes: it lets the policy overshoot.
    torch.testing.assert_close(found[0], BEST_ACTIONS[0], atol=0.25, rtol=0)
    clone = agent.behavior_policy(states)[0].tanh()[1, :, 0].detach()
    torch.testing.assert_close(found[1], clone, atol=0.1, rtol=0)
    assert metrics["actor/divergence"][1] < 0.05 < metrics["actor/divergence"][0]
