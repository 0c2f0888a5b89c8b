"""The conditional diffusion policy (Section 3), for R stacked runs.

Notation: a^i is an action noised i times, i = 1..N; index 0 of every array here is
i = 1. Schedules are computed in float64 and used in float32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dql.kernels import mish
from dql.losses import mean_squared_error
from dql.networks import MLP, Generators, StackedLinear
from dql.reverse_chain import ChainSchedule, ReverseChain


def vp_betas(num_steps: int) -> np.ndarray:
    """Return the variance-preserving schedule, b_min = 0.1, b_max = 10 (Appendix B)."""
    i = np.arange(1, num_steps + 1)
    exponent = 0.1 / num_steps + 0.5 * 9.9 * (2 * i - 1) / num_steps**2
    return 1 - np.exp(-exponent)


def linear_betas(num_steps: int) -> np.ndarray:
    """Return the linear schedule of Ho et al. (2020), Section 4."""
    return np.linspace(1e-4, 2e-2, num_steps)


def cosine_betas(num_steps: int) -> np.ndarray:
    """Return the cosine schedule of Nichol and Dhariwal (2021), eq. 17."""
    time = np.linspace(0, num_steps + 1, num_steps + 1) / (num_steps + 1)
    alphas_cumprod = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = 1 - alphas_cumprod[1:] / alphas_cumprod[:-1]
    return np.clip(betas, 0, 0.999)


BETA_SCHEDULES = {"vp": vp_betas, "linear": linear_betas, "cosine": cosine_betas}


def sinusoidal_embedding(num_steps: int, dim: int) -> Tensor:
    """Embed the indices 0..N-1 by sines and cosines of geometric rates, (N, dim)."""
    half = dim // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
    angles = torch.arange(num_steps)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def chain_schedule(
    betas: np.ndarray,
    alphas_cumprod: np.ndarray,
    previous: np.ndarray,
    prediction: str,
) -> ChainSchedule:
    """Return the reverse steps' numbers (Ho et al., 2020, eq. 7 and 15), float64.

    The network's output is the noise in a^i or, for `action`, a^0 itself.
    """
    signal, spread = np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod)
    is_noise = prediction == "noise"
    return ChainSchedule(
        noisy_scale=(1 / signal if is_noise else 0 * signal).tolist(),
        output_scale=(-spread / signal if is_noise else 0 * signal + 1).tolist(),
        noisy_weight=((1 - previous) * np.sqrt(1 - betas) / spread**2).tolist(),
        clean_weight=(betas * np.sqrt(previous) / spread**2).tolist(),
    )


class Prepared(NamedTuple):
    """The first layer's parts of a batch: what is computed once per chain."""

    states: Tensor  # (R, B, H), the state's share
    times: Tensor  # (R, N, H), every denoising step's share, bias included
    action_weight: Tensor  # (R, A, H)


class NoisePredictor(nn.Module):
    """epsilon_theta(a^i, s, i): three hidden Mish layers on [action, time, state].

    The first layer is applied to its three inputs separately: the state's share is
    computed once per chain and the time's share once per denoising step, since neither
    changes along the other. The sum is the same affine map.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        time_embedding_dim: int,
        num_denoising_steps: int,
    ) -> None:
        super().__init__()
        time_dim = time_embedding_dim
        self.split = [action_dim, time_dim, observation_dim]
        self.time_mlp = MLP(
            [time_dim, 2 * time_dim, time_dim], generators, activation="mish"
        )
        self.input_layer = StackedLinear(sum(self.split), hidden_dim, generators)
        self.mlp = MLP(
            [hidden_dim, hidden_dim, hidden_dim, action_dim],
            generators,
            activation="mish",
        )
        embedding = sinusoidal_embedding(num_denoising_steps, time_dim)
        embedding = embedding.expand(len(generators), -1, -1).clone()
        self.register_buffer("embedding", embedding, persistent=False)

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first layer's weights for action, time and state."""
        return self.input_layer.weight.split(self.split, dim=1)

    def prepare(self, observations: Tensor) -> Prepared:
        """Compute what the denoising steps of a batch (R, B, O) have in common."""
        action_weight, time_weight, observation_weight = self.weights()
        times = torch.baddbmm(
            self.input_layer.bias, self.time_mlp(self.embedding), time_weight
        )
        return Prepared(
            torch.bmm(observations, observation_weight), times, action_weight
        )

    def forward(
        self, prepared: Prepared, noisy_actions: Tensor, steps: Tensor
    ) -> Tensor:
        """Predict for actions that stand at different denoising steps (R, B)."""
        one_hot = torch.nn.functional.one_hot(steps, prepared.times.shape[1])
        # A product instead of a gather: its backward pass is a product as well.
        times = torch.baddbmm(
            prepared.states, one_hot.to(noisy_actions.dtype), prepared.times
        )
        hidden = torch.bmm(noisy_actions, prepared.action_weight)
        zero = torch.zeros_like(hidden[:, :1])
        return self.mlp(mish(hidden, zero, times))


class Diffusion(nn.Module):
    """A diffusion policy: its loss L_d and its reverse chain."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        time_embedding_dim: int,
        num_denoising_steps: int,
        beta_schedule: str,
        prediction: str,
    ) -> None:
        super().__init__()
        self.num_denoising_steps = num_denoising_steps
        self.prediction = prediction
        self.predictor = NoisePredictor(
            observation_dim,
            action_dim,
            generators,
            hidden_dim=hidden_dim,
            time_embedding_dim=time_embedding_dim,
            num_denoising_steps=num_denoising_steps,
        )
        betas = BETA_SCHEDULES[beta_schedule](num_denoising_steps)
        alphas_cumprod = np.cumprod(1 - betas)
        previous = np.concatenate([[1.0], alphas_cumprod[:-1]])
        self.schedule = chain_schedule(betas, alphas_cumprod, previous, prediction)
        variance = betas * (1 - previous) / (1 - alphas_cumprod)
        tables = {
            "signal": np.sqrt(alphas_cumprod),
            "spread": np.sqrt(1 - alphas_cumprod),
            # The chain starts from unit noise, then meets the steps' own, last first.
            "chain_std": np.concatenate([[1.0], np.sqrt(variance[:0:-1])]),
        }
        for name, values in tables.items():
            table = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, table, persistent=False)

    def loss(
        self, observations: Tensor, actions: Tensor, steps: Tensor, noise: Tensor
    ) -> Tensor:
        """Return L_d (R,): the mean error over batch and action dims (eq. 2).

        `steps` (R, B) holds the indices of the denoising steps, `noise` (R, B, A).
        """
        signal, spread = self.signal[steps], self.spread[steps]
        noisy = signal[..., None] * actions + spread[..., None] * noise
        prepared = self.predictor.prepare(observations)
        prediction = self.predictor(prepared, noisy, steps)
        target = noise if self.prediction == "noise" else actions
        return mean_squared_error(prediction, target)

    def sample(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Run the reverse chain; gradients flow through all of it.

        `noise` is (R, N, B, A): entry 0 starts the chain, entry k enters its k-th step.
        Returns actions (R, B, A) within [-1, 1]. The predicted action is clamped at
        every step (released code), which stops its gradient where it saturates.
        """
        prepared = self.predictor.prepare(observations)
        layers = [p for x in self.predictor.mlp.layers for p in (x.weight, x.bias)]
        return ReverseChain.apply(
            torch.is_grad_enabled(),
            self.schedule,
            noise * self.chain_std[:, None, None],
            prepared.states,
            prepared.times.transpose(0, 1).unsqueeze(2).contiguous(),
            prepared.action_weight,
            *layers,
        )
