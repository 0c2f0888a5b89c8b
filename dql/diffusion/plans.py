"""Diffusion over plans: sequences whose first observation is given.

Janner et al. (2022), Section 3; the noise schedule is the cosine of Nichol and Dhariwal
(2021). Index 0 of every array is the first noised step, as in `policy.py`. In a plan's
row the observation comes last, behind what else there is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dql.diffusion.policy import chain_schedule, cosine_betas


def with_first(plans: Tensor, observations: Tensor) -> Tensor:
    """Put observations (R, B, O) at the end of the first row of plans (R, B, L, D)."""
    size = plans.shape[-1] - observations.shape[-1]
    row = torch.cat([plans[:, :, 0, :size], observations], dim=-1)
    return torch.cat([row[:, :, None], plans[:, :, 1:]], dim=2)


class PlanDiffusion(nn.Module):
    """The noise schedule of plans: noised ones, and the way back."""

    def __init__(self, num_steps: int, prediction: str, *, clips: bool) -> None:
        """Let a network predict the `noise` in a plan or the `plan` itself.

        Where it `clips`, a denoised plan is kept within [-1, 1].
        """
        super().__init__()
        self.num_steps, self.prediction, self.clips = num_steps, prediction, clips
        betas = cosine_betas(num_steps)
        alphas_cumprod = np.cumprod(1 - betas)
        previous = np.concatenate([[1.0], alphas_cumprod[:-1]])
        self.schedule = chain_schedule(betas, alphas_cumprod, previous, prediction)
        scales = np.sqrt([alphas_cumprod, 1 - alphas_cumprod]).T
        table = torch.tensor(scales, dtype=torch.float32)
        self.register_buffer("scales", table, persistent=False)

    def noised(self, plans: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """Noise plans (R, B, L, D) to their denoising steps (R, B)."""
        signal, spread = functional.embedding(steps, self.scales).split(1, dim=-1)
        return signal[..., None] * plans + spread[..., None] * noise

    def denoised(self, plans: Tensor, output: Tensor, index: int) -> Tensor:
        """Return the mean of plans one step less noised, given the network's output."""
        schedule = self.schedule
        clean = (
            schedule.noisy_scale[index] * plans + schedule.output_scale[index] * output
        )
        if self.clips:
            clean = clean.clamp(-1, 1)
        weights = schedule.noisy_weight[index], schedule.clean_weight[index]
        return weights[0] * plans + weights[1] * clean

    def sample(
        self,
        observations: Tensor,
        noise: Tensor,
        network: Callable[[Tensor, Tensor], Tensor],
        guide: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Tensor:
        """Run the chain from noise (R, B, N, L, D); return plans (R, B, L, D).

        Entry 0 of the noise starts the chain, entry k enters its k-th step. Plans begin
        with the observations (R, B, O) all along; before each step `guide` moves them.
        """
        plans = with_first(noise[:, :, 0], observations)
        for index in reversed(range(self.num_steps)):
            if guide is not None:
                plans = with_first(guide(plans, index), observations)
            steps = self.steps_at(index, plans)
            plans = self.denoised(plans, network(plans, steps), index)
            if index > 0:  # the last step adds no noise
                fresh = noise[:, :, self.num_steps - index]
                plans = plans + self.schedule.noise_scale[index] * fresh
            plans = with_first(plans, observations)
        return plans

    def steps_at(self, index: int, plans: Tensor) -> Tensor:
        """Return one denoising step for all plans, (R, B)."""
        shape = plans.shape[:2]
        return torch.full(shape, index, dtype=torch.int64, device=plans.device)
