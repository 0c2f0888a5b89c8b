"""What follows a loss: gradients, a step, moving averages."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dql.core.adam import Adam


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


_parameters: WeakKeyDictionary[nn.Module, list[Tensor]] = WeakKeyDictionary()
"""Of the networks averaged so far, which stay in place: to walk through the modules of
twin critics takes as long as to average them."""


@torch.no_grad()
def polyak_update(online: nn.Module, target: nn.Module, step_size: float) -> None:
    """Move the target's parameters by `step_size` towards the online ones."""
    for module in (online, target):
        if module not in _parameters:
            _parameters[module] = list(module.parameters())
    torch._foreach_lerp_(_parameters[target], _parameters[online], step_size)
