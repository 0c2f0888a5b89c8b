"""Consistency-QL: levels, boundary and losses written out, and what it acts by."""

import math

import numpy as np
import pytest
import torch
from core import make_agent, training_steps
from literal_networks import perceptron, q_value
from weighted_bandit import precise_update

from dql.core.noise import NoiseStreams
from dql.diffusion.consistency import noise_level, num_levels, sampling_levels

TINY = {"hidden_dim": 5, "time_embedding_dim": 4, "num_sampling_steps": 3}


def literal_image(policy, run, observation, noisy, level):
    """Return f(x, s, tau) of one row, an array."""
    half = policy.rates.shape[0]
    angles = [level * math.exp(-math.log(10000) * j / (half - 1)) for j in range(half)]
    embedding = [math.sin(x) for x in angles] + [math.cos(x) for x in angles]
    time = perceptron(policy.time_mlp, run, embedding)
    output = np.array(perceptron(policy.mlp, run, [*noisy, *time, *observation]))
    skip = 0.25 / ((level - 0.002) ** 2 + 0.25)
    scale = 0.5 * (level - 0.002) / math.sqrt(level**2 + 0.25)
    return skip * np.array(noisy) + scale * output


def literal_sample(policy, run, observation, noise):
    """Denoise at levels 80, 41 and 2."""
    action = np.zeros_like(noise[0])
    for step, level in enumerate((80.0, 41.0, 2.0)):
        spread = 80.0 if step == 0 else math.sqrt(level**2 - 0.002**2)
        noisy = action + spread * noise[step]
        action = literal_image(policy, run, observation, noisy, level)
    return np.clip(action, -1, 1)


def literal_levels(step, uniform, num_curriculum_steps):
    """Return tau_n and tau_n+1 of one row at one step."""
    k, total = step % num_curriculum_steps, num_curriculum_steps
    count = math.ceil(math.sqrt(k * (150**2 - 4) / total + 4) - 1) + 1
    n = int(uniform * (count - 1))
    roots = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    return [
        (roots[0] + i / (count - 1) * (roots[1] - roots[0])) ** 7 for i in (n, n + 1)
    ]


@pytest.mark.parametrize(
    "settings", [{}, {"loss_weight": "none", "normalize_targets": True}]
)
def test_losses_equal_sums_written_out(settings):
    before, agent, batch, noise, metrics = precise_update(
        "consistency_ql", **TINY, **settings
    )
    num_runs, size = batch.rewards.shape
    for run in range(num_runs):
        errors, targets, data_q = [], [], np.zeros((2, size))
        values = np.zeros((2, size))
        for b in range(size):
            s, a = batch.observations[run, b].tolist(), batch.actions[run, b].numpy()
            z = noise["noise"][run, b].numpy()
            low, high = literal_levels(3, noise["level"][run, b].item(), 30)
            image = literal_image(before["actor"], run, s, a + high * z, high)
            target = literal_image(before["target_actor"], run, s, a + low * z, low)
            weight = 1.0 if settings else 100 / (high - low)
            errors += list(weight * (image - target) ** 2)
            drawn = noise["actor_chain"][run, :, b].numpy()
            action = literal_sample(before["actor"], run, s, drawn)
            next_s = batch.next_observations[run, b].tolist()
            drawn = noise["backup_chain"][run, :, b].numpy()
            next_a = literal_sample(before["target_actor"], run, next_s, drawn)
            critic = before["target_critic"]
            next_q = min(q_value(critic, run, k, next_s, next_a) for k in (0, 1))
            goes_on = 1 - batch.terminations[run, b].item()
            targets.append(batch.rewards[run, b].item() + 0.99 * goes_on * next_q)
            for k in (0, 1):  # the actor's step sees the critics' new weights
                values[k, b] = q_value(agent.critic, run, k, s, action)
                data_q[k, b] = q_value(before["critic"], run, k, s, a)
        y = np.array(targets)
        if settings:
            y = y / (y.std(ddof=1) + 1e-6)
        chosen = 0 if noise["critic_coin"][run] > 0.5 else 1
        q_loss = -values[chosen].mean() / np.abs(values[1 - chosen]).mean()
        expected = {
            "actor/bc_loss": np.mean(errors),
            "actor/q_loss": q_loss,
            "critic/loss": ((data_q - y) ** 2).sum() / size,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-5), key


def test_levels_grow_from_two_to_150_and_begin_anew():
    counts = [num_levels(torch.tensor(float(k)), 1000).item() for k in range(2001)]
    assert counts[0] == counts[1000] == counts[2000] == 2
    assert max(counts) == 150
    assert counts[:1000] == sorted(counts[:1000])
    count = torch.tensor(150.0)
    ends = noise_level(torch.tensor([0.0, 149.0]), count)
    torch.testing.assert_close(ends, torch.tensor([0.002, 80.0]), rtol=1e-5, atol=0)


def test_the_largest_uniform_number_stays_within_the_levels():
    agent, _ = make_agent("consistency_ql")
    agent.optimizers["actor"].count.fill_(29)
    below_one = torch.full((2, 4, 1), 1 - 2**-24)
    low, high = agent.neighbouring_levels({"level": below_one})
    assert (low < high).all()
    assert high.max() == pytest.approx(80.0, rel=1e-5)


def test_at_the_smallest_level_the_image_is_the_action_itself():
    agent, store = make_agent("consistency_ql")
    _, batch, _ = next(training_steps(agent, store, 1))
    levels = torch.full_like(batch.actions[..., :1], 0.002)
    image = agent.actor.denoise(batch.observations, batch.actions, levels)
    torch.testing.assert_close(image, batch.actions)


def test_one_step_is_one_denoising_from_the_largest_level():
    assert sampling_levels(1) == [80.0]
    assert sampling_levels(2) == [80.0, 2.0]
    settings = [{"num_sampling_steps": 1, "num_candidates": 1}] * 2
    agent, _ = make_agent("consistency_ql", settings=settings)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    start = 80.0 * noise["chain"][:, :, 0, 0]
    levels = torch.full((2, 4, 1), 80.0)
    expected = agent.actor.denoise(observations, start, levels).clamp(-1, 1)
    torch.testing.assert_close(agent.sample_actions(observations, noise), expected)
