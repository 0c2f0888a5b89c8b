"""The flow policy: its loss written out, Euler's rule, and a target with two modes."""

import numpy as np
import pytest
import torch
from literal_networks import perceptron
from scipy.spatial.distance import cdist
from small_bandit import shares_of_modes, two_modes

from dql.core.noise import seeded_generator
from dql.core.optimization import Adam, gradient_step
from dql.diffusion.flow import FlowPolicy


def make_flow(num_runs=2, *, num_flow_steps=10, hidden_dim=32, num_hidden_layers=3):
    return FlowPolicy(
        2,
        2,
        [seeded_generator(seed, "weights") for seed in range(num_runs)],
        hidden_dim=hidden_dim,
        num_hidden_layers=num_hidden_layers,
        activation="gelu",
        num_flow_steps=num_flow_steps,
    )


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_loss_equals_sums_written_out():
    flow = make_flow(hidden_dim=4, num_hidden_layers=2).double()
    observations, actions, noise = draw(3, 2, 5, 2).double()
    times = draw(2, 5, 1, seed=1).double().sigmoid()
    loss = flow.loss(observations, actions, times, noise)
    for run in range(2):
        total = 0.0
        for b in range(5):
            start, end = noise[run, b].tolist(), actions[run, b].tolist()
            t = times[run, b, 0].item()
            point = [(1 - t) * x + t * y for x, y in zip(start, end, strict=True)]
            row = [*observations[run, b].tolist(), *point, t]
            velocity = perceptron(flow.mlp, run, row)
            for v, x, y in zip(velocity, start, end, strict=True):
                total += (v - (y - x)) ** 2
        assert loss[run].item() == pytest.approx(total / 10, rel=1e-9)


def test_sampling_is_eulers_rule(monkeypatch):
    flow = make_flow(num_flow_steps=8)
    noise = 0.05 * draw(2, 6, 2)
    seen = []

    def velocity(observations, points, times):
        seen.append(times[0, 0, 0].item())
        return points + times

    monkeypatch.setattr(flow, "velocity", velocity)
    found = flow.sample(torch.zeros(2, 6, 2), noise)
    expected = noise.double()
    for step in range(8):
        expected = expected + (expected + step / 8) / 8
    torch.testing.assert_close(found, expected.float())
    assert seen == [step / 8 for step in range(8)]


def test_samples_stay_within_the_action_range(monkeypatch):
    flow = make_flow()
    monkeypatch.setattr(flow, "velocity", lambda s, x, t: torch.full_like(x, 9.0))
    assert (flow.sample(torch.zeros(2, 3, 2), torch.zeros(2, 3, 2)) == 1).all()


def energy_distance(first, second):
    """Return 2 E|x - y| - E|x - x'| - E|y - y'| of two samples (n, A)."""
    within = cdist(first, first).mean() + cdist(second, second).mean()
    return 2 * cdist(first, second).mean() - within


def test_two_gaussians_are_matched():
    flow = make_flow()
    optimizer = Adam(flow.parameters(), 3e-3)
    data = torch.tensor(two_modes().actions, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    observations = torch.zeros(2, 128, 2)
    for _ in range(500):
        rows = torch.randint(len(data), (2, 128), generator=generator)
        times = torch.rand(2, 128, 1, generator=generator)
        noise = torch.randn(2, 128, 2, generator=generator)
        loss = flow.loss(observations, data[rows], times, noise)
        gradient_step(optimizer, loss.sum(), 2)
    with torch.no_grad():
        samples = flow.sample(torch.zeros(2, 1000, 2), draw(2, 1000, 2, seed=3))
    np.testing.assert_allclose(
        shares_of_modes(samples.numpy(), radius=0.3), 0.5, atol=0.2
    )
    unseen = two_modes(1000, seed=1).actions
    for run in range(2):
        # One Gaussian of the data's moments: 0.09; another sample of the data: 0.0005.
        assert energy_distance(samples[run].numpy(), unseen) < 0.03
