"""The conditional diffusion policy (Section 3), for R stacked runs.

Notation: a^i is an action noised i times, i = 1..N; index 0 of every array here is
i = 1. Schedules are computed in float64 and used in float32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dql.core.losses import mean_squared_error
from dql.core.networks import Generators
from dql.diffusion.dpm_solver import solver_steps
from dql.diffusion.noise_predictor import NoisePredictor, Prepared
from dql.diffusion.reverse_chain import ChainSchedule, reverse_chain


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


def chain_schedule(
    betas: np.ndarray,
    alphas_cumprod: np.ndarray,
    previous: np.ndarray,
    prediction: str,
) -> ChainSchedule:
    """Return the reverse steps' numbers (Ho et al., 2020, eq. 6, 7 and 15), float64.

    The network's output is the noise in a^i or, for `action`, a^0 itself.
    """
    signal, spread = np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod)
    is_noise = prediction == "noise"
    return ChainSchedule(
        noisy_scale=(1 / signal if is_noise else 0 * signal).tolist(),
        output_scale=(-spread / signal if is_noise else 0 * signal + 1).tolist(),
        noisy_weight=((1 - previous) * np.sqrt(1 - betas) / spread**2).tolist(),
        clean_weight=(betas * np.sqrt(previous) / spread**2).tolist(),
        noise_scale=np.sqrt(betas * (1 - previous) / spread**2).tolist(),
    )


class Prediction(NamedTuple):
    """What the network says of noised actions, (R, B, A); their scales, (R, B, 1)."""

    noisy_actions: Tensor
    output: Tensor  # the noise in them or, for `action`, the action itself
    signal: Tensor
    spread: Tensor


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
        self.alphas_cumprod = alphas_cumprod
        previous = np.concatenate([[1.0], alphas_cumprod[:-1]])
        self.schedule = chain_schedule(betas, alphas_cumprod, previous, prediction)
        scales = np.sqrt([alphas_cumprod, 1 - alphas_cumprod]).T
        # Of action and noise, (N, 2).
        table = torch.tensor(scales, dtype=torch.float32)
        self.register_buffer("scales", table, persistent=False)

    def loss(
        self,
        observations: Tensor | Prepared,
        actions: Tensor,
        steps: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Return L_d (R,): the mean error over batch and action dims (eq. 2).

        `steps` (R, B) holds the indices of the denoising steps, `noise` (R, B, A).
        Observations (R, B, O) may come as the predictor's `prepare` left them.
        """
        prediction = self.predict(observations, actions, steps, noise)
        return self.prediction_loss(prediction, actions, noise)

    def predict(
        self,
        observations: Tensor | Prepared,
        actions: Tensor,
        steps: Tensor,
        noise: Tensor,
        *,
        frozen: bool = False,
    ) -> Prediction:
        """Noise the actions and let the network look at them; arguments as in `loss`.

        A `frozen` network passes gradients to the actions and takes none itself.
        """
        scales = torch.nn.functional.embedding(steps, self.scales)
        signal, spread = scales.split(1, dim=-1)
        noisy = torch.addcmul(signal * actions, spread, noise)
        output = self.predictor(observations, noisy, steps, frozen=frozen)
        return Prediction(noisy, output, signal, spread)

    def clean_actions(self, prediction: Prediction) -> Tensor:
        """Return the actions that a prediction implies, clamped to [-1, 1]."""
        clean = prediction.output
        if self.prediction == "noise":
            noise = prediction.spread * prediction.output
            clean = (prediction.noisy_actions - noise) / prediction.signal
        return clean.clamp(-1, 1)

    def prediction_loss(
        self, prediction: Prediction, actions: Tensor, noise: Tensor
    ) -> Tensor:
        """Return L_d (R,) of a prediction for actions noised by `noise`."""
        target = noise if self.prediction == "noise" else actions
        return mean_squared_error(prediction.output, target)

    def sample(
        self,
        observations: Tensor | Prepared,
        noise: Tensor,
        num_backpropagated_steps: int | None = None,
    ) -> Tensor:
        """Run the reverse chain; gradients flow through its last steps (None: all).

        `noise` is (R, N, B, A): entry 0 starts the chain, entry k enters its k-th step.
        Returns actions (R, B, A) within [-1, 1]: the predicted action is clamped at
        every step (released code), which stops its gradient where it saturates, and
        the last step returns it. Observations are those of `loss`.
        """
        prepared = observations
        if not isinstance(observations, Prepared):
            prepared = self.predictor.prepare(observations)
        num_silent = 0
        if num_backpropagated_steps is not None and torch.is_grad_enabled():
            num_silent = self.num_denoising_steps - num_backpropagated_steps
        if num_silent > 0:
            start, stop = num_backpropagated_steps, self.num_denoising_steps
            with torch.no_grad():
                actions = self.reverse(prepared, noise[:, :num_silent], start, stop)
                scale = self.schedule.noise_scale[start]
                actions.add_(noise[:, num_silent], alpha=scale)
            noise = torch.cat([actions[:, None], noise[:, num_silent + 1 :]], dim=1)
        stop = self.num_denoising_steps - max(num_silent, 0)
        return self.reverse(prepared, noise, 0, stop)

    def reverse(
        self, prepared: Prepared, noise: Tensor, start: int, stop: int
    ) -> Tensor:
        """Take the reverse steps of indices `stop` - 1 down to `start`."""
        observations, embedded = prepared
        if (start, stop) != (0, self.num_denoising_steps):
            embedded = embedded[:, start:stop]
        return reverse_chain(
            self.schedule.part(start, stop),
            noise,
            observations,
            embedded,
            self.predictor.ordered,
        )

    def solve(
        self, observations: Tensor, noise: Tensor, num_solver_steps: int
    ) -> Tensor:
        """Follow the probability-flow ODE from noise (R, B, A) to actions.

        DPM-Solver++(2M) (`dpm_solver.py`): no noise but the start, one call of the
        network per step. The predicted action is clamped, as in `sample`.
        """
        steps = solver_steps(self.alphas_cumprod, num_solver_steps)
        first = self.predictor.first_layer(observations, [x.index for x in steps])
        actions, before = noise, noise
        for position, step in enumerate(steps):
            output = self.predictor.at(first, actions, position)
            clean = self.schedule.noisy_scale[step.index] * actions
            clean = clean + self.schedule.output_scale[step.index] * output
            clean = clean.clamp(-1, 1)
            extrapolated = clean + step.extrapolation * (clean - before)
            actions = step.noisy_weight * actions + step.clean_weight * extrapolated
            before = clean
        return actions
