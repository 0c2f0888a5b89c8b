"""One equation, one pure function. R runs, B transitions; every loss returns (R,)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def mean_per_run(values: Tensor) -> Tensor:
    """Average everything but the run axis, (R, ...) to (R,)."""
    return values.flatten(1).mean(dim=1)


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of each run."""
    return mean_per_run(functional.mse_loss(prediction, target, reduction="none"))


def temporal_difference_target(
    rewards: Tensor, terminations: Tensor, next_q: Tensor, discount: Tensor
) -> Tensor:
    """Return r + gamma (1 - terminated) Q'(s', a'), (R, B); `discount` is (R,)."""
    return rewards + discount[:, None] * (1 - terminations) * next_q


def twin_critic_loss(q_values: Tensor, target_q: Tensor) -> Tensor:
    """Return the sum of both critics' squared errors, q_values (R, 2, B)."""
    target_q = target_q[:, None].expand_as(q_values)
    errors = functional.mse_loss(q_values, target_q, reduction="none")
    return errors.sum(dim=(1, 2)) / q_values.shape[2]


def soft_minimum(q_values: Tensor, minimum_weight: float) -> Tensor:
    """Return BCQ's convex mix of smaller and larger critic, (R, 2, B) to (R, B)."""
    smaller, larger = q_values.amin(dim=1), q_values.amax(dim=1)
    return minimum_weight * smaller + (1 - minimum_weight) * larger


def gaussian_log_likelihood(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return log N(actions; mean, exp(log_std)), summed over action dims, (R, B)."""
    scaled = (actions - mean) * (-log_std).exp()
    per_dim = -0.5 * scaled.square() - log_std - 0.5 * math.log(2 * math.pi)
    return per_dim.sum(dim=-1)


def squashed_log_likelihood(raw: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density of tanh(raw) with raw ~ N(mean, exp(log_std)), (R, B).

    The change of variables subtracts log(1 - tanh(raw)^2) of every action dimension,
    in a form that a saturated tanh does not overflow (Haarnoja et al., 2018, eq. 21).
    """
    log_slope = 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
    return gaussian_log_likelihood(raw, mean, log_std) - log_slope.sum(dim=-1)


def conservative_gap(q_values: Tensor, log_densities: Tensor, data_q: Tensor) -> Tensor:
    """Return E log sum_a exp Q(s, a) - E Q(s, a_data) per critic, (R, 2) (CQL, eq. 4).

    `q_values` (R, 2, B, S) are of S sampled actions, whose `log_densities` (R, B, S)
    weight the sum by importance; `data_q` (R, 2, B) is of the dataset's actions. The
    sum is not divided by S, as released: a constant.
    """
    soft_maximum = torch.logsumexp(q_values - log_densities[:, None], dim=3)
    return (soft_maximum - data_q).mean(dim=2)


def mixture_log_likelihood(
    actions: Tensor, log_weights: Tensor, means: Tensor, log_stds: Tensor
) -> Tensor:
    """Return log sum_k w_k N(actions; mu_k, sigma_k), (R, B) (Bishop, 1994).

    `log_weights` is (R, B, K) and normalised; `means`, `log_stds` are (R, B, K, A).
    """
    components = gaussian_log_likelihood(actions[:, :, None], means, log_stds)
    return torch.logsumexp(log_weights + components, dim=2)


def cvae_loss(
    actions: Tensor, decoded: Tensor, mean: Tensor, std: Tensor, kl_coefficient: float
) -> tuple[Tensor, Tensor]:
    """Return BCQ's reconstruction and weighted KL terms, (R,) each (BCQ, eq. 28)."""
    kl = -0.5 * mean_per_run(1 + std.square().log() - mean.square() - std.square())
    return mean_squared_error(decoded, actions), kl_coefficient * kl


def maximum_mean_discrepancy(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    """Return BEAR's Laplacian-kernel MMD between action samples, (R, B).

    `first` and `second` are (R, B, n, A) and (R, B, m, A); the kernel is
    exp(-|x - y|_1 / (2 bandwidth)) and the square root is taken, as in BEAR's code.
    """

    def kernel_mean(x: Tensor, y: Tensor) -> Tensor:
        distance = torch.cdist(x, y, p=1)
        return torch.exp(distance / (-2 * bandwidth)).mean(dim=(-2, -1))

    squared = (
        kernel_mean(first, first)
        - 2 * kernel_mean(first, second)
        + kernel_mean(second, second)
    )
    return (squared + 1e-6).sqrt()


def improvement_loss(q_values: Tensor, normalizer_q: Tensor, coin: Tensor) -> Tensor:
    """Return -E Q(s, a0) / E|Q|, (R,): the policy-improvement term of Diffusion-QL.

    The coin (R,) picks the critic that is maximised: the first above one half.
    `normalizer_q` (R, 2) holds the mean |Q| that divides each critic's term; it is a
    constant for the gradient (Section 3; the released code divides differently).
    """
    is_first = (coin > 0.5)[:, None]
    weights = torch.cat([is_first, ~is_first], dim=1) / normalizer_q.detach()
    return -(weights * q_values.mean(dim=2)).sum(dim=1)


def mixture_improvement_loss(q_values: Tensor, weights: Tensor) -> Tensor:
    """Return -E Q(s, a) / E|Q(s, a)|, (R,), a from a mixture: TD3+BC's term.

    `q_values` (R, B, K) are of one sample from each component, `weights` (R, B, K) the
    components' probabilities; the divisor is a constant for the gradient.
    """
    value = (weights * q_values).sum(dim=2).mean(dim=1)
    magnitude = (weights * q_values.abs()).sum(dim=2).mean(dim=1)
    return -value / magnitude.detach()


def expectile_loss(differences: Tensor, expectile: Tensor) -> Tensor:
    """Return E |expectile - 1(u < 0)| u^2 of differences (R, B) (IQL, eq. 5).

    `expectile` is (R,): above one half, a prediction below its target costs more than
    one as far above it, with u = target - prediction.
    """
    above = expectile[:, None].expand_as(differences)
    factors = torch.where(differences < 0, 1 - above, above)
    return mean_per_run(factors * differences.square())


def exponential_weights(
    advantages: Tensor, inverse_temperature: Tensor, max_weight: float
) -> Tensor:
    """Return exp(advantage x inverse temperature), at most `max_weight`, (R, B)."""
    return (inverse_temperature[:, None] * advantages).exp().clamp(max=max_weight)


def weighted_regression_loss(log_likelihood: Tensor, weights: Tensor) -> Tensor:
    """Return -E w log pi(a | s) of (R, B) each; the weights are constants."""
    return -mean_per_run(weights.detach() * log_likelihood)


def softmax_weights(advantages: Tensor, inverse_temperature: Tensor) -> Tensor:
    """Return exponential weights scaled to a mean of 1 in each run's batch, (R, B)."""
    batch_size = advantages.shape[1]
    return batch_size * (inverse_temperature[:, None] * advantages).softmax(dim=1)


def standardize(values: Tensor) -> Tensor:
    """Shift and scale each run's batch (R, B) to mean 0 and deviation 1."""
    centered = values - values.mean(dim=1, keepdim=True)
    deviation = centered.square().mean(dim=1, keepdim=True).sqrt()
    return centered / (deviation + 1e-5)  # the constant of AWR's released code
