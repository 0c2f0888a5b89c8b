"""DPM-Solver++(2M): few deterministic steps along the probability-flow ODE.

Lu et al. (2022), "DPM-Solver++", Algorithm 2. With alpha and sigma the scales of action
and noise, lambda = log(alpha / sigma) and D the network's estimate of the action, a
step from s to t is

    a_t = (sigma_t / sigma_s) a_s + alpha_t (1 - exp(lambda_s - lambda_t)) D

where D = D_s + (D_s - D_before) (lambda_t - lambda_s) / (2 (lambda_s - lambda_before))
carries the last two estimates half a step on. It is second order: halving the steps
quarters the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SolverStep:
    """a = noisy_weight a + clean_weight (D + extrapolation (D - D_before))."""

    index: int  # of the denoising step the network is asked at
    noisy_weight: float
    clean_weight: float
    extrapolation: float  # 0: first order


def solver_indices(num_denoising_steps: int, num_solver_steps: int) -> np.ndarray:
    """Choose the denoising steps the solver stops at, last first.

    They lie densest near the data, where lambda changes fastest: at the cubes of evenly
    spaced numbers, without repeating one. For Gaussian actions, 15 of 1000 steps miss
    the solution by a tenth of what evenly spaced times do, as a test measures.
    """
    order = np.arange(num_solver_steps)
    share = order / max(num_solver_steps - 1, 1)
    indices = np.rint((num_denoising_steps - 1) * share**3).astype(int)
    if num_solver_steps == 1:
        return np.array([num_denoising_steps - 1])
    return np.maximum(indices, order)[::-1]


def solver_steps(alphas_cumprod: np.ndarray, num_solver_steps: int) -> list[SolverStep]:
    """Return the steps from pure noise to the action; the last returns D itself.

    `alphas_cumprod` (N,) holds alpha^2 of every denoising step; at most N steps.
    """
    indices = solver_indices(len(alphas_cumprod), num_solver_steps)
    alpha = np.sqrt(alphas_cumprod[indices])
    sigma = np.sqrt(1 - alphas_cumprod[indices])
    lengths = np.diff(np.log(alpha / sigma))
    steps = []
    for k, length in enumerate(lengths):
        extrapolation = length / (2 * lengths[k - 1]) if k else 0.0
        weight = -alpha[k + 1] * np.expm1(-length)
        ratio = sigma[k + 1] / sigma[k]
        steps.append(
            SolverStep(
                int(indices[k]), float(ratio), float(weight), float(extrapolation)
            )
        )
    return [*steps, SolverStep(int(indices[-1]), 0.0, 1.0, 0.0)]
