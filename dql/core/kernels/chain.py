"""The C kernels of the reverse chain (chain.c), called on tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dql.core.kernels.build import library
from dql.core.kernels.pointers import POINTER, SIZE, pointers_to


class _Arguments(ctypes.Structure):
    """`chain` of chain.c."""

    _fields_ = [
        *((name, SIZE) for name in ("runs", "steps", "rows", "actions", "embedded")),
        *((name, SIZE) for name in ("observed", "hidden", "layers")),
        *((name, POINTER) for name in ("noise", "observations", "embedding")),
        *((name, POINTER) for name in ("weights", "biases", "schedule")),
        *((name, POINTER) for name in ("tapes", "workspace", "out")),
    ]


class _Gradients(ctypes.Structure):
    """`chain_gradients` of chain.c."""

    _fields_ = [
        (name, POINTER) for name in ("gradient", "embedding", "weights", "biases")
    ]


@dataclass(frozen=True)
class ChainInputs:
    """What the reverse chain reads; shapes as in `reverse_chain.ReverseChain`."""

    noise: Tensor
    observations: Tensor
    embedded: Tensor
    parameters: Sequence[Tensor]  # weight, bias of every layer
    schedule: Tensor  # (N, 5), see chain.c

    def tensors(self) -> list[Tensor]:
        """Return all of them."""
        batch = [self.noise, self.observations, self.embedded]
        return [*batch, *self.parameters, self.schedule]


def chain_forward(inputs: ChainInputs, keeps: bool) -> tuple[Tensor, list[Tensor]]:
    """Return the actions (R, B, A) and, if it `keeps` any, R tapes."""
    arguments, alive = _arguments(inputs)
    out = torch.empty(arguments.runs, arguments.rows, arguments.actions)
    arguments.out = out.data_ptr()
    tapes = []
    if keeps:
        # One for each run: a block's worth would be too large for malloc to reuse.
        size = library().chain_tape_size(ctypes.byref(arguments))
        tapes = [torch.empty(size) for _ in range(len(out))]
        pointers = pointers_to(tapes)
        arguments.tapes = ctypes.addressof(pointers)
    library().chain_forward(ctypes.byref(arguments))
    del alive
    return out, tapes


def chain_backward(
    inputs: ChainInputs, tapes: Sequence[Tensor], gradient: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of the embedded steps and of the parameters."""
    arguments, alive = _arguments(inputs)
    pointers = pointers_to(tapes)
    arguments.tapes = ctypes.addressof(pointers)
    gradient = gradient.contiguous()
    embedded = torch.empty_like(inputs.embedded)
    parameters = [torch.empty_like(tensor) for tensor in inputs.parameters]
    weights, biases = pointers_to(parameters[::2]), pointers_to(parameters[1::2])
    to = _Gradients(
        gradient.data_ptr(),
        embedded.data_ptr(),
        ctypes.addressof(weights),
        ctypes.addressof(biases),
    )
    library().chain_backward(ctypes.byref(arguments), ctypes.byref(to))
    del alive
    return embedded, *parameters


def _arguments(inputs: ChainInputs) -> tuple[_Arguments, object]:
    """Return the C arguments, and what must live as long as they do."""
    for tensor in inputs.tensors():
        if not tensor.is_contiguous():
            raise ValueError("the C kernels read contiguous tensors only")
    num_runs, num_steps, num_rows, action_dim = inputs.noise.shape
    weights = pointers_to(inputs.parameters[::2])
    biases = pointers_to(inputs.parameters[1::2])
    arguments = _Arguments(
        num_runs,
        num_steps,
        num_rows,
        action_dim,
        inputs.embedded.shape[2],
        inputs.observations.shape[2],
        inputs.parameters[0].shape[2],
        len(inputs.parameters) // 2 - 2,
        inputs.noise.data_ptr(),
        inputs.observations.data_ptr(),
        inputs.embedded.data_ptr(),
        ctypes.addressof(weights),
        ctypes.addressof(biases),
        inputs.schedule.data_ptr(),
    )
    workspace = torch.empty(library().chain_workspace_size(ctypes.byref(arguments)))
    arguments.workspace = workspace.data_ptr()
    return arguments, (weights, biases, workspace)
