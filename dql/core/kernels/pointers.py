"""Tensors as the C kernels see them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.core.kernels.build import library

POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64


def pointers_to(tensors: Sequence[Tensor]) -> ctypes.Array:
    """Return a C array of the tensors' addresses; it keeps nothing alive."""
    return (POINTER * len(tensors))(*[tensor.data_ptr() for tensor in tensors])


def kernels_apply(*tensors: Tensor) -> bool:
    """Tell whether the kernels exist and serve these tensors: float32 on the CPU.

    The tensors come first: where all are on a GPU, nothing is to be compiled.
    """
    is_served = all(x.is_cpu and x.dtype is torch.float32 for x in tensors)
    return is_served and library() is not None
