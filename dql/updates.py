"""What follows a loss: gradients, a step, moving averages."""

from __future__ import annotations

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
    return optimizer.step(gradients, num_runs, max_gradient_norm)


@torch.no_grad()
def polyak_update(online: nn.Module, target: nn.Module, step_size: float) -> None:
    """Move the target's parameters by `step_size` towards the online ones."""
    torch._foreach_lerp_(
        list(target.parameters()), list(online.parameters()), step_size
    )
