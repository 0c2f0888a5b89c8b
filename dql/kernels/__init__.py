"""mish(x + row + full) for stacked networks: one operation forward, one backward.

Mish (Misra, 2019) is x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2), so
one exponential serves it and its derivative. PyTorch's own CPU kernel takes a logarithm
and a hyperbolic tangent besides, and costs more than the matrix product next to it.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from dql.kernels.build import library


class _Mish(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, is_recorded: bool, inputs: Tensor, row: Tensor, full: Tensor | None
    ) -> Tensor:
        needs_slope = is_recorded and any(ctx.needs_input_grad)
        outputs, slope = mish_forward(inputs, row, full, needs_slope)
        if needs_slope:
            ctx.save_for_backward(slope)
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        product, rows = mish_backward(gradient, *ctx.saved_tensors)
        return None, product, rows, product if ctx.needs_input_grad[3] else None


def mish(inputs: Tensor, row: Tensor, full: Tensor | None = None) -> Tensor:
    """Return mish(inputs + row + full), (S, B, H).

    `row` is (S, 1, H), a bias; `full` is (S, B, H) or absent.
    """
    # `needs_input_grad` ignores `no_grad`, and inside of `forward` gradients are off.
    return _Mish.apply(torch.is_grad_enabled(), inputs, row, full)


def mish_forward(
    inputs: Tensor, row: Tensor, full: Tensor | None, needs_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """Return mish(inputs + row + full) and, if asked for, its derivative there."""
    kernels = _library_for(inputs, row, full)
    if kernels is None:
        return _forward_torch(inputs, row, full, needs_slope)
    outputs = torch.empty_like(inputs)
    slope = torch.empty_like(inputs) if needs_slope else None
    pointers = [
        None if tensor is None else tensor.data_ptr()
        for tensor in (inputs, row, full, outputs, slope)
    ]
    kernels.mish_forward(*pointers, *inputs.shape)
    return outputs, slope


def mish_backward(gradient: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradient x slope (S, B, H) and its sum over rows (S, 1, H)."""
    kernels = _library_for(gradient, slope)
    if kernels is None:
        product = gradient * slope
        return product, product.sum(dim=1, keepdim=True)
    product = torch.empty_like(slope)
    rows = slope.new_empty(slope.shape[0], 1, slope.shape[2])
    pointers = [tensor.data_ptr() for tensor in (gradient, slope, product, rows)]
    kernels.mish_backward(*pointers, *slope.shape)
    return product, rows


def _library_for(*tensors: Tensor | None) -> ctypes.CDLL | None:
    """Return the C kernels where they apply: float32, contiguous, on the CPU."""
    for tensor in tensors:
        if tensor is not None and (
            tensor.dtype != torch.float32
            or tensor.device.type != "cpu"
            or not tensor.is_contiguous()
        ):
            return None
    return library()


def _forward_torch(
    inputs: Tensor, row: Tensor, full: Tensor | None, needs_slope: bool
) -> tuple[Tensor, Tensor | None]:
    sums = inputs + row
    if full is not None:
        sums += full
    exponential = sums.exp().clamp_(max=1e9)  # n stays finite; n / (n + 2) is 1
    ratio = (exponential + 2).mul_(exponential)
    inverse = (ratio + 2).reciprocal_()
    ratio.mul_(inverse)
    if not needs_slope:
        return ratio.mul_(sums), None
    slope = (exponential + 1).mul_(inverse).mul_(exponential.mul_(inverse))
    return ratio * sums, torch.addcmul(ratio, slope, sums, value=4)
