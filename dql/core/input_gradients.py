"""The gradient of stacked networks by their inputs, differentiable by weights."""

from __future__ import annotations

import torch
from torch import Tensor

from dql.core.networks import MLP


def input_gradient(mlp: MLP, inputs: Tensor) -> Tensor:
    """Return d output / d input of networks with one output, (S, B, inputs).

    `inputs` (R, B, inputs) are shared by a run's members. Behind ReLU the gradient is a
    product of weights and of masks that do not change with them, so that no second pass
    of automatic differentiation is needed, which the C kernels have not.
    """
    if mlp.activation != "relu" or mlp.norms:
        raise ValueError("input_gradient is of plain ReLU networks")
    hidden = inputs.detach().repeat_interleave(mlp.members, dim=0)
    *layers, last = mlp.layers
    masks = []
    with torch.no_grad():
        for layer in layers:
            hidden = layer(hidden).relu()
            masks.append((hidden > 0).to(hidden.dtype))
    gradient = last.weight.transpose(1, 2).expand(-1, inputs.shape[1], -1)
    for layer, mask in zip(reversed(layers), reversed(masks), strict=True):
        gradient = torch.bmm(gradient * mask, layer.weight.transpose(1, 2))
    return gradient
