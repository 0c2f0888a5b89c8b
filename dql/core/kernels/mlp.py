"""Stacked multi-layer perceptrons in one C call, forward and backward (mlp.c)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dql.core.kernels.build import library
from dql.core.kernels.pointers import POINTER, SIZE, kernels_apply, pointers_to


class _Arguments(ctypes.Structure):
    """`mlp` of mlp.c."""

    _fields_ = [
        *(
            (name, SIZE)
            for name in ("stacks", "rows", "layers", "members", "is_relu", "has_values")
        ),
        *((name, POINTER) for name in ("dims", "inputs", "weights", "biases")),
        *((name, POINTER) for name in ("tapes", "workspace", "out")),
    ]


class _Gradients(ctypes.Structure):
    """`mlp_gradients` of mlp.c."""

    _fields_ = [(name, POINTER) for name in ("gradient", "inputs", "weights", "biases")]


@dataclass
class _Call:
    """The C arguments of one network on one batch, and what they point to."""

    inputs: Tensor
    parameters: Sequence[Tensor]  # weight, bias of every layer
    activation: str
    keeps: bool
    has_parameter_gradients: bool

    def __post_init__(self) -> None:
        self.inputs = self.inputs.contiguous()
        self.parameters = [parameter.contiguous() for parameter in self.parameters]
        weights = self.parameters[::2]
        dims = [self.inputs.shape[2], *(weight.shape[2] for weight in weights)]
        num_stacks, (num_inputs, num_rows, _) = len(weights[0]), self.inputs.shape
        self.out = torch.empty(num_stacks, num_rows, dims[-1])
        self._dims = (SIZE * len(dims))(*dims)
        self._weights = pointers_to(weights)
        self._biases = pointers_to(self.parameters[1::2])
        self.arguments = _Arguments(
            num_stacks,
            num_rows,
            len(weights),
            num_stacks // num_inputs,
            self.activation == "relu",
            self.has_parameter_gradients,
            ctypes.addressof(self._dims),
            self.inputs.data_ptr(),
            ctypes.addressof(self._weights),
            ctypes.addressof(self._biases),
        )
        if self.keeps:
            size = library().mlp_tape_size(ctypes.byref(self.arguments))
            # One for each stack: a large one malloc would not keep for reuse.
            self._tapes = [torch.empty(size) for _ in range(num_stacks)]
            self._tape_pointers = pointers_to(self._tapes)
            self.arguments.tapes = ctypes.addressof(self._tape_pointers)
        self.arguments.out = self.out.data_ptr()

    def forward(self) -> Tensor:
        """Return the outputs; no circle: they own the node that keeps this call."""
        self.run(library().mlp_forward)
        out, self.out = self.out, None
        return out

    def run(self, function, *others: ctypes.Structure) -> None:
        """Call one of the C functions with scratch space."""
        size = library().mlp_workspace_size(ctypes.byref(self.arguments))
        workspace = torch.empty(size)
        self.arguments.workspace = workspace.data_ptr()
        function(ctypes.byref(self.arguments), *map(ctypes.byref, others))


def fused_mlp(
    activation: str, inputs: Tensor, parameters: Sequence[Tensor], *, frozen: bool
) -> Tensor:
    """Map inputs (S / members, B, inputs) to (S, B, outputs), members sharing theirs.

    `parameters` are weight and bias of every layer; those of a `frozen` network take
    no gradient.
    """
    if torch.is_grad_enabled():
        return _FusedMLP.apply(frozen, activation, inputs, *parameters)
    return _Call(inputs, parameters, activation, False, False).forward()


class _FusedMLP(torch.autograd.Function):
    """Gradients are for the inputs, the parameters or both, by who requires one."""

    @staticmethod
    def forward(
        ctx, frozen: bool, activation: str, inputs: Tensor, *parameters: Tensor
    ) -> Tensor:
        trains = not frozen and any(ctx.needs_input_grad[3:])
        keeps = trains or ctx.needs_input_grad[2]
        call = _Call(inputs, parameters, activation, keeps, trains)
        out = call.forward()
        if keeps:
            ctx.call = call
            ctx.save_for_backward(inputs, *parameters)
        else:
            ctx.mark_non_differentiable(out)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        call = ctx.call
        ctx.saved_tensors  # noqa: B018 raises where one was written to meanwhile
        for_inputs = for_parameters = None
        gradient = gradient.contiguous()
        to = _Gradients(gradient.data_ptr())
        if ctx.needs_input_grad[2]:
            num_inputs, *sizes = call.inputs.shape
            each = torch.empty(len(call.parameters[0]), *sizes)
            to.inputs = each.data_ptr()
        if call.has_parameter_gradients and any(ctx.needs_input_grad[3:]):
            for_parameters = [torch.empty_like(p) for p in call.parameters]
            weights = pointers_to(for_parameters[::2])
            biases = pointers_to(for_parameters[1::2])
            to.weights, to.biases = map(ctypes.addressof, (weights, biases))
        call.run(library().mlp_backward, to)
        if ctx.needs_input_grad[2]:
            is_shared = num_inputs < len(each)
            for_inputs = each
            if is_shared:
                for_inputs = each.unflatten(0, (num_inputs, -1)).sum(dim=1)
        del ctx.call
        for_parameters = for_parameters or [None] * len(call.parameters)
        return None, None, for_inputs, *for_parameters


def mlp_kernels_apply(inputs: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Tell whether the kernels serve a network: float32, on the CPU, some hidden."""
    return len(parameters) >= 4 and kernels_apply(inputs, *parameters)
