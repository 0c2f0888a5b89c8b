"""Diffusion models of recorded actions and states, as published weights define them.

The denoiser of Karras et al. (2022, EDM) with sigma_data = 0.5 around a small network:
first layer, three Mish layers, last layer. A model of actions, given states, acts as a
clone of the data it was trained on; models of states and of actions also measure how
far other data are from those, by `denoising_error`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dql.core.array_shapes import check_shapes

SIGMA_DATA = 0.5
SIGMA_MAX = 80.0
SIGMA_MIN = 0.002
RHO = 7.0
NUM_EULER_STEPS = 15
EMBEDDING_DIM = 16
EMBEDDING_HIDDEN_DIM = 32
HIDDEN_DIM = 256
LARGEST_PERIOD = 10_000.0


def layer_shapes(input_dim: int, output_dim: int) -> dict[str, tuple[int, ...]]:
    """Return the published name and shape of every array, as (outputs, inputs)."""
    widths = {
        "embed.1": (EMBEDDING_HIDDEN_DIM, EMBEDDING_DIM),
        "embed.3": (EMBEDDING_DIM, EMBEDDING_HIDDEN_DIM),
        "layers.layers.0": (HIDDEN_DIM, input_dim + EMBEDDING_DIM),
        **{f"layers.layers.{index}": (HIDDEN_DIM, HIDDEN_DIM) for index in (1, 3, 5)},
        "layers.layers.7": (output_dim, HIDDEN_DIM),
    }
    weights = {f"{name}.weight": shape for name, shape in widths.items()}
    biases = {f"{name}.bias": shape[:1] for name, shape in widths.items()}
    return weights | biases


def time_embedding(sigma: float) -> Tensor:
    """Return the sinusoidal features of log(sigma) / 4, sines then cosines, (16,)."""
    half = EMBEDDING_DIM // 2
    exponents = torch.arange(half, dtype=torch.float32) / (half - 1)
    angles = math.log(sigma) / 4 * torch.exp(-math.log(LARGEST_PERIOD) * exponents)
    return torch.cat((angles.sin(), angles.cos()))


def sigmas(num_steps: int = NUM_EULER_STEPS) -> list[float]:
    """Return the noise levels of an Euler chain, from the largest to the smallest."""
    largest, smallest = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [
        (largest + step / (num_steps - 1) * (smallest - largest)) ** RHO
        for step in range(num_steps)
    ]


class DiffusionModel:
    """A published denoiser of vectors (B, X), given conditions (B, C) or nothing.

    `weights` holds the arrays of `layer_shapes`; `condition_dim` is 0 for a model of
    states.
    """

    def __init__(
        self, weights: Mapping[str, np.ndarray], output_dim: int, condition_dim: int
    ) -> None:
        self.output_dim, self.condition_dim = output_dim, condition_dim
        check_shapes(weights, layer_shapes(output_dim + condition_dim, output_dim))
        self._arrays = {
            name: torch.from_numpy(np.asarray(array, dtype=np.float32))
            for name, array in weights.items()
        }

    def denoised(
        self, noisy: Tensor, conditions: Tensor | None, sigma: float
    ) -> Tensor:
        """Return the estimate of the clean vectors, (B, X), at one noise level."""
        return self._denoised(noisy, self._conditioned(conditions), sigma)

    def sample(self, conditions: Tensor, noise: Tensor) -> Tensor:
        """Return vectors in [-1, 1], (B, X), from standard normal noise (B, X).

        Euler's rule on the probability flow, each estimate clipped to [-1, 1].
        """
        levels = sigmas()
        offset = self._conditioned(conditions)
        vectors = levels[0] * noise
        for sigma, following in zip(levels, [*levels[1:], 0.0], strict=True):
            estimate = self._denoised(vectors, offset, sigma).clamp_(-1.0, 1.0)
            vectors = torch.lerp(estimate, vectors, following / sigma)
        return vectors

    def _denoised(self, noisy: Tensor, offset: Tensor | float, sigma: float) -> Tensor:
        variance = sigma**2 + SIGMA_DATA**2
        skip = SIGMA_DATA**2 / variance
        output_scale = sigma * SIGMA_DATA / math.sqrt(variance)
        hidden = torch.addmm(
            self._level_bias(sigma), noisy, self._entry[0], alpha=variance**-0.5
        )
        hidden = _mish_(hidden.add_(offset))
        for layer in (3, 5):
            hidden = _mish_(self._layer(layer, hidden))
        return skip * noisy + output_scale * self._layer(7, hidden)

    def _layer(self, index: int, inputs: Tensor) -> Tensor:
        name = f"layers.layers.{index}"
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        return torch.addmm(bias, inputs, weight.T)

    @cached_property
    def _entry(self) -> tuple[Tensor, Tensor, Tensor]:
        """The first two layers as one, nothing is between them: (X, C, time) to H."""
        first, second = (self._arrays[f"layers.layers.{i}.weight"] for i in (0, 1))
        product = (second.double() @ first.double()).float().T
        dims = (self.output_dim, self.condition_dim, EMBEDDING_DIM)
        return tuple(part.contiguous() for part in product.split(dims))

    def _conditioned(self, conditions: Tensor | None) -> Tensor | float:
        """What the conditions add behind the first two layers, at any noise level."""
        return 0.0 if conditions is None else conditions @ self._entry[1]

    def _level_bias(self, sigma: float) -> Tensor:
        if sigma not in self._level_biases:
            hidden = self._embed(1, time_embedding(sigma))
            embedding = self._embed(3, torch.nn.functional.mish(hidden))
            first = self._arrays["layers.layers.0.bias"]
            second = self._arrays["layers.layers.1.weight"]
            bias = second @ first + self._arrays["layers.layers.1.bias"]
            self._level_biases[sigma] = bias + embedding @ self._entry[2]
        return self._level_biases[sigma]

    @cached_property
    def _level_biases(self) -> dict[float, Tensor]:
        return {}

    def _embed(self, index: int, inputs: Tensor) -> Tensor:
        name = f"embed.{index}"
        return self._arrays[f"{name}.weight"] @ inputs + self._arrays[f"{name}.bias"]


def denoising_error(
    model: DiffusionModel,
    clean: Tensor,
    conditions: Tensor | None,
    sigma: float,
    generator: torch.Generator,
) -> float:
    """Return the mean over rows (B, X) of |denoised - clean| / (sigma sqrt(X))."""
    noise = torch.randn(clean.shape, generator=generator)
    with torch.inference_mode():
        errors = model.denoised(clean + sigma * noise, conditions, sigma) - clean
    return float(errors.norm(dim=1).mean() / (sigma * clean.shape[1] ** 0.5))


def _mish_(values: Tensor) -> Tensor:
    """Return x tanh(softplus(x)) in place, by one exponential instead of three.

    With n = e^x (e^x + 2) it is x n / (n + 2); beyond 20 the ratio is 1 in float32.
    """
    exponential = values.clamp(max=20.0).exp_()
    ratio = exponential.addcmul_(exponential, exponential, value=0.5).mul_(2.0)
    return values.mul_(ratio.div_(ratio + 2.0))
