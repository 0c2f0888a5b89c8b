"""A consistency policy for R stacked runs (Song et al., 2023; Ding and Jin, 2023).

f(x, s, tau) takes an action noised at level tau, x = a + tau z, to the action itself,
along the probability flow: two points of one path have the same image. The boundary
f(x, s, eps) = x is built in,

f = c_skip x + c_out F(x, s, tau),  c_skip = sigma^2 / ((tau - eps)^2 + sigma^2),
c_out = sigma (tau - eps) / sqrt(tau^2 + sigma^2),  sigma = 0.5,

as Ding and Jin run it: F sees x as it is, without a scale.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dql.core.networks import MLP, Generators

SMALLEST, LARGEST = 0.002, 80.0  # eps and T, levels of noise
SIGMA = 0.5
RHO = 7.0
SMALLEST_SAMPLED = 2.0  # the last level of the released sampler
FEWEST_LEVELS, MOST_LEVELS = 2, 150  # s_0 and s_1 of consistency training


def sampling_levels(num_steps: int) -> list[float]:
    """Return the levels a sample is drawn at, evenly spaced, the largest first."""
    if num_steps == 1:
        return [LARGEST]
    width = (LARGEST - SMALLEST_SAMPLED) / (num_steps - 1)
    return [LARGEST - width * step for step in range(num_steps)]


def num_levels(step: Tensor, num_curriculum_steps: int) -> Tensor:
    """Return N(k): how many levels the training tells apart at a step, from 0.

    It grows from 2 to 150 as a square root (Song et al., 2023, Appendix C) and begins
    anew every `num_curriculum_steps`.
    """
    share = torch.remainder(step, num_curriculum_steps) / num_curriculum_steps
    squares = MOST_LEVELS**2 - FEWEST_LEVELS**2
    root = torch.sqrt(share * squares + FEWEST_LEVELS**2)
    return torch.ceil(root - 1) + 1


def noise_level(index: Tensor, count: Tensor) -> Tensor:
    """Return level `index` of `count`, from eps to T (Karras et al., 2022, eq. 5)."""
    low, high = SMALLEST ** (1 / RHO), LARGEST ** (1 / RHO)
    return (low + index / (count - 1) * (high - low)) ** RHO


class ConsistencyPolicy(nn.Module):
    """The function f, its loss between neighbouring levels, and its sampler."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        time_embedding_dim: int,
        num_sampling_steps: int,
    ) -> None:
        super().__init__()
        self.levels = sampling_levels(num_sampling_steps)
        dim = time_embedding_dim
        self.time_mlp = MLP([dim, 2 * dim, dim], generators, activation="mish")
        dims = [observation_dim + action_dim + dim, *[hidden_dim] * 3, action_dim]
        self.mlp = MLP(dims, generators, activation="mish")
        half = dim // 2
        rates = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        self.register_buffer("rates", rates, persistent=False)

    def denoise(self, observations: Tensor, noisy: Tensor, levels: Tensor) -> Tensor:
        """Return f of states (R, B, O), noised actions (R, B, A), levels (R, B, 1)."""
        angles = levels * self.rates
        times = self.time_mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))
        output = self.mlp(torch.cat([noisy, times, observations], dim=-1))
        excess = levels - SMALLEST
        skip = SIGMA**2 / (excess.square() + SIGMA**2)
        scale = SIGMA * excess / torch.sqrt(levels.square() + SIGMA**2)
        return skip * noisy + scale * output

    def sample(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Denoise from T, noise again less and less; return actions within [-1, 1].

        `noise` is (R, steps, B, A), an entry a level; gradients pass through all steps.
        """
        actions = torch.zeros_like(noise[:, 0])
        for step, level in enumerate(self.levels):
            spread = level if step == 0 else math.sqrt(level**2 - SMALLEST**2)
            levels = torch.full_like(actions[..., :1], level)
            actions = self.denoise(
                observations, actions + spread * noise[:, step], levels
            )
        return actions.clamp(-1, 1)
