"""A step of Adam behind clipping, in one C call (adam.c)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dql.core.kernels.build import library
from dql.core.kernels.pointers import POINTER, SIZE, pointers_to


class Numbers(NamedTuple):
    """What a step does with numbers, as Python has them; names as in adam.c."""

    step_size: float
    second_scale: float
    beta2: float
    first_weight: float
    second_weight: float
    epsilon: float


class _Arguments(ctypes.Structure):
    """`adam` of adam.c."""

    _fields_ = [
        ("tensors", SIZE),
        ("runs", SIZE),
        *((name, POINTER) for name in ("sizes", "parameters", "gradients")),
        *((name, POINTER) for name in ("first_moments", "second_moments")),
        *((name, POINTER) for name in ("max_norms", "norms")),
        *((name, ctypes.c_float) for name in Numbers._fields),
    ]


def adam_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    first_moments: Sequence[Tensor],
    second_moments: Sequence[Tensor],
    numbers: Numbers,
    num_runs: int,
    max_norms: Tensor | None,
) -> Tensor | None:
    """Move parameters and moments in place; with limits (R,), return the norms, (R,).

    All tensors are contiguous, float32 and on the CPU.
    """
    sizes = [parameter.numel() // num_runs for parameter in parameters]
    arrays = (
        (SIZE * len(sizes))(*sizes),
        *map(pointers_to, (parameters, gradients, first_moments, second_moments)),
    )
    arguments = _Arguments(len(sizes), num_runs, *map(ctypes.addressof, arrays))
    for name, value in numbers._asdict().items():
        setattr(arguments, name, value)
    norms = None
    if max_norms is not None:
        norms = torch.empty_like(max_norms)
        arguments.max_norms, arguments.norms = max_norms.data_ptr(), norms.data_ptr()
    library().adam_step(ctypes.byref(arguments))
    return norms
