"""The denoiser against the published model's arithmetic, its law, and known data."""

import math

import numpy as np
import pytest
import torch

from dql.core.noise import seeded_generator
from dql.core.optimization import Adam, gradient_step
from dql.diffusion import edm
from dql.diffusion.denoiser import Denoiser, noise_levels, skip_and_scale


def make_denoiser(dim=2, condition_dim=3, hidden_dim=8, seeds=(0, 1)):
    generators = [seeded_generator(seed, "weights") for seed in seeds]
    return Denoiser(dim, condition_dim, generators, hidden_dim)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def published(denoiser, run, dim, condition_dim):
    """Return the same function as a published model, whose first layers are two."""
    embed, layers = denoiser.time_mlp.layers, denoiser.mlp.layers
    first = layers[0].weight[run]
    noisy, times, given = first.split([dim, edm.EMBEDDING_DIM, condition_dim])
    arrays = {
        "layers.layers.0.weight": torch.cat([noisy, given, times]).T,
        "layers.layers.0.bias": layers[0].bias[run, 0],
        "layers.layers.1.weight": torch.eye(edm.HIDDEN_DIM),
        "layers.layers.1.bias": torch.zeros(edm.HIDDEN_DIM),
    }
    pairs = [("embed.1", embed[0]), ("embed.3", embed[1])]
    pairs += [(f"layers.layers.{n}", layers[i]) for i, n in ((1, 3), (2, 5), (3, 7))]
    for name, layer in pairs:
        arrays[f"{name}.weight"] = layer.weight[run].T
        arrays[f"{name}.bias"] = layer.bias[run, 0]
    weights = {name: array.detach().numpy() for name, array in arrays.items()}
    return edm.DiffusionModel(weights, dim, condition_dim)


def test_it_is_the_published_model():
    denoiser = make_denoiser(hidden_dim=edm.HIDDEN_DIM)
    noisy, given = draw(2, 5, 2).float(), draw(2, 5, 3, seed=1).float()
    for sigma in (0.01, 0.5, 20.0):
        levels = torch.full((2, 5, 1), sigma)
        with torch.no_grad():
            found = denoiser.denoise(noisy, levels, given)
        for run in (0, 1):
            model = published(denoiser, run, 2, 3)
            expected = model.denoised(noisy[run], given[run], sigma)
            torch.testing.assert_close(found[run], expected, atol=1e-4, rtol=1e-4)


def test_the_loss_weighs_the_denoisers_error():
    denoiser = make_denoiser().double()
    clean, noise, given = draw(2, 6, 2), draw(2, 6, 2, seed=1), draw(2, 6, 3, seed=2)
    levels = draw(2, 6, 1, seed=3).exp()
    with torch.no_grad():
        found = denoiser.loss(clean, levels, noise, given)
        denoised = denoiser.denoise(clean + levels * noise, levels, given)
        errors = denoiser.error(clean, levels, noise, given)
    _, scale = skip_and_scale(levels)
    expected = ((denoised - clean) / scale).square().mean(dim=(1, 2))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(errors, (denoised - clean).square().sum(dim=2).sqrt())


def test_levels_follow_a_log_logistic_law_cut_at_both_ends():
    uniform = torch.linspace(0, 1, 11, dtype=torch.float64)
    levels = noise_levels(uniform).numpy()

    def cumulative(sigma):
        return 1 / (1 + (0.5 / sigma) ** 2)  # (sigma / d)^(1 / scale), scale 1/2

    low, high = cumulative(0.002), cumulative(80.0)
    expected = low + uniform.numpy() * (high - low)
    np.testing.assert_allclose(cumulative(levels), expected, rtol=1e-9)
    assert levels[0] == pytest.approx(0.002)
    assert levels[-1] == pytest.approx(80.0)
    assert levels[5] == pytest.approx(0.5, rel=1e-3)


def test_without_conditions_an_error_tells_the_data_from_what_lies_between():
    denoiser = make_denoiser(1, 0, 32)
    optimizer = Adam(denoiser.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)

    def numbers(law, *shape):
        return getattr(torch, law)(shape, generator=generator)

    for _ in range(500):
        clean = numbers("randn", 2, 64, 1).sign()  # -1 or 1
        levels = noise_levels(numbers("rand", 2, 64, 1))
        loss = denoiser.loss(clean, levels, numbers("randn", 2, 64, 1), None)
        gradient_step(optimizer, loss.sum(), 2)
    levels, noise = torch.full((2, 400, 1), 0.3), numbers("randn", 2, 400, 1)
    with torch.no_grad():
        inside = denoiser.error(torch.ones(2, 400, 1), levels, noise, None).mean()
        between = denoiser.error(torch.zeros(2, 400, 1), levels, noise, None).mean()
    assert inside < 0.2 < 0.5 < between
    assert math.isfinite(float(inside))
