"""What follows a loss: gradients, per-run clipping, a step, moving averages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dql.adam import Adam


def gradient_step(
    optimizer: Adam,
    loss: Tensor,
    num_runs: int,
    max_gradient_norm: Tensor | None = None,
) -> Tensor | None:
    """Step the optimiser on a loss summed over runs; return each run's norm, (R,).

    Gradients are taken for the optimiser's own parameters only. Without clipping no
    norm is computed.
    """
    gradients = torch.autograd.grad(loss, optimizer.parameters)
    norms = None
    if max_gradient_norm is not None:
        norms = clip_gradients(gradients, num_runs, max_gradient_norm)
    optimizer.step(gradients)
    return norms


def clip_gradients(
    gradients: Sequence[Tensor], num_runs: int, max_norm: Tensor
) -> Tensor:
    """Scale each run's gradients to at most `max_norm` (R,), as PyTorch does for one.

    Returns the norms before clipping, (R,).
    """
    rows = [gradient.view(num_runs, -1) for gradient in gradients]
    norms = torch.linalg.vector_norm(torch.cat(rows, dim=1), dim=1)
    factors = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(rows, [factors[:, None]] * len(rows))
    return norms


@torch.no_grad()
def polyak_update(online: nn.Module, target: nn.Module, step_size: float) -> None:
    """Move the target's parameters by `step_size` towards the online ones."""
    torch._foreach_lerp_(
        list(target.parameters()), list(online.parameters()), step_size
    )
