"""mish(x + row + full) for stacked networks: one operation forward, one backward.

Mish (Misra, 2019) is x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2), so
one exponential serves it and its derivative. PyTorch's own CPU kernel takes a logarithm
and a hyperbolic tangent besides, and costs more than the matrix product next to it.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.nn import functional

from dql.core.kernels.build import library


class _Mish(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, is_recorded: bool, inputs: Tensor, row: Tensor, full: Tensor | None
    ) -> Tensor:
        keeps = is_recorded and any(ctx.needs_input_grad)
        kernels = _library_for(inputs, row, full)
        if kernels is None:
            sums = inputs + row
            outputs, kept = mish_forward(sums if full is None else sums + full, keeps)
        else:
            outputs, kept = _forward_in_c(kernels, inputs, row, full, keeps)
        if keeps:
            ctx.save_for_backward(kept)
        return outputs

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        kernels = _library_for(gradient, kept)
        if kernels is None:
            product = mish_backward(gradient, kept)
            rows = product.sum(dim=1, keepdim=True)
        else:
            product, rows = _backward_in_c(kernels, gradient, kept)
        return None, product, rows, product if ctx.needs_input_grad[3] else None


def mish(inputs: Tensor, row: Tensor, full: Tensor | None = None) -> Tensor:
    """Return mish(inputs + row + full), (S, B, H).

    `row` is (S, 1, H), a bias; `full` is (S, B, H) or absent.
    """
    # `needs_input_grad` ignores `no_grad`, and inside of `forward` gradients are off.
    return _Mish.apply(torch.is_grad_enabled(), inputs, row, full)


def mish_forward(sums: Tensor, keeps: bool) -> tuple[Tensor, Tensor | None]:
    """Return mish(sums) by PyTorch's operations, and what `mish_backward` asks for.

    A GPU waits for launches, not for arithmetic: there PyTorch's one operation is best.
    """
    if has_native_mish(sums):
        return functional.mish(sums), sums if keeps else None
    # With s = 1 / (1 + e^-x) and h = s - s^2 / 2, n / (n + 2) is h / (1 - h).
    sigmoid = sums.sigmoid()
    half = torch.addcmul(sigmoid, sigmoid, sigmoid, value=-0.5)
    if not keeps:
        return half.div_(torch.rsub(half, 1)).mul_(sums), None
    inverse = torch.rsub(half, 1).reciprocal_()
    ratio = half.mul_(inverse)
    slope = torch.rsub(sigmoid, 1).mul_(inverse)
    slope = slope.square_().mul_(sigmoid)
    return ratio * sums, torch.addcmul(ratio, slope, sums)


def mish_backward(gradient: Tensor, kept: Tensor) -> Tensor:
    """Return the gradient in front of Mish from the one behind it."""
    if has_native_mish(gradient):
        return torch.ops.aten.mish_backward(gradient, kept)
    return gradient * kept


def has_native_mish(values: Tensor) -> bool:
    """Tell whether PyTorch's own Mish is the faster one for these values."""
    return not values.is_cpu


def _forward_in_c(
    kernels: ctypes.CDLL,
    inputs: Tensor,
    row: Tensor,
    full: Tensor | None,
    needs_slope: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return mish(inputs + row + full) and, if asked for, its derivative there."""
    outputs = torch.empty_like(inputs)
    slope = torch.empty_like(inputs) if needs_slope else None
    pointers = [
        None if tensor is None else tensor.data_ptr()
        for tensor in (inputs, row, full, outputs, slope)
    ]
    kernels.mish_forward(*pointers, *inputs.shape)
    return outputs, slope


def _backward_in_c(
    kernels: ctypes.CDLL, gradient: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Return gradient x slope (S, B, H) and its sum over rows (S, 1, H)."""
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
