"""A denoiser at any level of noise, for R stacked runs (Karras et al., 2022).

D(x, sigma) = c_skip x + c_out F(c_in x, log(sigma) / 4),  c_in = (sigma^2 + d^2)^-1/2
c_skip = d^2 / (sigma^2 + d^2),  c_out = sigma d (sigma^2 + d^2)^-1/2,  d = 0.5

Levels are drawn from a log-logistic law cut at both ends, as DTQL and DOSER train
theirs; `edm.py` holds the same model with published weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dql.core.losses import mean_squared_error
from dql.core.networks import MLP, Generators
from dql.diffusion.edm import (
    EMBEDDING_DIM,
    EMBEDDING_HIDDEN_DIM,
    LARGEST_PERIOD,
    SIGMA_DATA,
    SIGMA_MAX,
    SIGMA_MIN,
)

SCALE = 0.5
"""Of the logistic law of log(sigma), around log(d)."""


def _cumulative(sigma: float) -> float:
    """Return how much of the uncut law lies below a level."""
    return 1 / (1 + math.exp((math.log(SIGMA_DATA) - math.log(sigma)) / SCALE))


LOWEST, HIGHEST = _cumulative(SIGMA_MIN), _cumulative(SIGMA_MAX)


def noise_levels(uniform: Tensor) -> Tensor:
    """Return levels of the training law from uniform numbers, of their shape."""
    share = torch.lerp(
        torch.full_like(uniform, LOWEST), torch.full_like(uniform, HIGHEST), uniform
    )
    return SIGMA_DATA * (SCALE * share.logit()).exp()


class Denoiser(nn.Module):
    """Three Mish layers for vectors of X numbers, given C others or none."""

    def __init__(
        self, dim: int, condition_dim: int, generators: Generators, hidden_dim: int
    ) -> None:
        super().__init__()
        sizes = [EMBEDDING_DIM, EMBEDDING_HIDDEN_DIM, EMBEDDING_DIM]
        self.time_mlp = MLP(sizes, generators, activation="mish")
        inputs = dim + condition_dim + EMBEDDING_DIM
        self.mlp = MLP([inputs, *[hidden_dim] * 3, dim], generators, activation="mish")
        half = EMBEDDING_DIM // 2
        powers = torch.arange(half, dtype=torch.float64) / (half - 1)
        rates = torch.exp(-math.log(LARGEST_PERIOD) * powers).float()
        self.register_buffer("rates", rates, persistent=False)

    def output(self, noisy: Tensor, levels: Tensor, given: Tensor | None) -> Tensor:
        """Return F of (R, B, X), levels (R, B, 1), conditions (R, B, C) or none."""
        angles = levels.log() / 4 * self.rates
        times = self.time_mlp(torch.cat([angles.sin(), angles.cos()], dim=2))
        inputs = [noisy * (levels.square() + SIGMA_DATA**2).rsqrt(), times]
        return self.mlp(torch.cat(inputs if given is None else [*inputs, given], dim=2))

    def denoise(self, noisy: Tensor, levels: Tensor, given: Tensor | None) -> Tensor:
        """Return D, (R, B, X)."""
        skip, scale = skip_and_scale(levels)
        return skip * noisy + scale * self.output(noisy, levels, given)

    def loss(
        self, clean: Tensor, levels: Tensor, noise: Tensor, given: Tensor | None
    ) -> Tensor:
        """Return E |F - (x - c_skip y) / c_out|^2, y = x + sigma noise, (R,)."""
        noisy = clean + levels * noise
        skip, scale = skip_and_scale(levels)
        target = (clean - skip * noisy) / scale
        return mean_squared_error(self.output(noisy, levels, given), target)

    def error(
        self, clean: Tensor, levels: Tensor, noise: Tensor, given: Tensor | None
    ) -> Tensor:
        """Return |D(x + sigma noise, sigma) - x| of every row, (R, B)."""
        denoised = self.denoise(clean + levels * noise, levels, given)
        return torch.linalg.vector_norm(denoised - clean, dim=2)


def skip_and_scale(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out of levels, in their shape."""
    variance = levels.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / variance, levels * SIGMA_DATA * variance.rsqrt()
