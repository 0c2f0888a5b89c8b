"""What follows a loss: gradients, per-run clipping, the optimiser, moving averages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def make_adam(parameters: Sequence[Tensor], learning_rate: float) -> torch.optim.Adam:
    """Return one fused Adam for the stacked parameters of all runs.

    Adam is elementwise, so stacked runs do not meet in it. On a GPU its learning rate
    is a tensor, which a recorded step reads anew each time.
    """
    parameters = list(parameters)
    on_gpu = parameters[0].is_cuda
    rate = torch.tensor(learning_rate, device=parameters[0].device)
    optimizer = torch.optim.Adam(
        parameters,
        lr=rate if on_gpu else learning_rate,
        fused=True,
        capturable=on_gpu,
    )
    optimizer.param_groups[0]["initial_lr"] = learning_rate
    return optimizer


def scale_learning_rate(optimizer: torch.optim.Adam, factor: float) -> None:
    """Set the learning rate to a multiple of what it was made with."""
    group = optimizer.param_groups[0]
    rate = group["initial_lr"] * factor
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def gradient_step(
    optimizer: torch.optim.Adam,
    loss: Tensor,
    num_runs: int,
    max_gradient_norm: Tensor | None = None,
) -> Tensor | None:
    """Step the optimiser on a loss summed over runs; return each run's norm, (R,).

    Gradients are taken for the optimiser's own parameters only. Without clipping no
    norm is computed.
    """
    parameters = optimizer.param_groups[0]["params"]
    gradients = torch.autograd.grad(loss, parameters)
    norms = None
    if max_gradient_norm is not None:
        norms = clip_gradients(gradients, num_runs, max_gradient_norm)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return norms


def clip_gradients(
    gradients: Sequence[Tensor], num_runs: int, max_norm: Tensor
) -> Tensor:
    """Scale each run's gradients to at most `max_norm` (R,), as PyTorch does for one.

    Returns the norms before clipping, (R,).
    """
    squares = [g.view(num_runs, -1).square().sum(dim=1) for g in gradients]
    norms = torch.stack(squares).sum(dim=0).sqrt()
    factors = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.view(num_runs, -1).mul_(factors[:, None])
    return norms


@torch.no_grad()
def polyak_update(online: nn.Module, target: nn.Module, step_size: float) -> None:
    """Move the target's parameters by `step_size` towards the online ones."""
    torch._foreach_lerp_(
        list(target.parameters()), list(online.parameters()), step_size
    )
