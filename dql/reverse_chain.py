"""The reverse diffusion chain and its derivative, written out.

Diffusion-QL differentiates through all N denoising steps. Recorded operation by
operation, that is some 25 N nodes of automatic differentiation around products so small
that the bookkeeping costs as much as they do. Here the chain is one node: its backward
pass is the chain rule by hand, and weight gradients accumulate inside the products.
On the CPU one call of C does all of it (`dql/kernels/chain.c`); what PyTorch's
operations do here is the same, on any device and in any precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dql.kernels import mish_backward, mish_forward
from dql.kernels.chain import ChainInputs, chain_backward, chain_forward
from dql.kernels.pointers import kernels_apply


@dataclass(frozen=True)
class ChainSchedule:
    """What one reverse step does with numbers, index 0 being the last step, i = 1.

    The predicted action is a^0 = noisy_scale a^i + output_scale output, clamped to
    [-1, 1]; then a^(i-1) = noisy_weight a^i + clean_weight a^0 + noise_scale z, z from
    N(0, 1). The last step's numbers are 0, 1 and 0: the chain ends with a clamped a^0.
    """

    noisy_scale: Sequence[float]
    output_scale: Sequence[float]
    noisy_weight: Sequence[float]
    clean_weight: Sequence[float]
    noise_scale: Sequence[float]

    def part(self, start: int, stop: int) -> ChainSchedule:
        """Return the steps of indices start to stop, `stop` left out."""
        if (start, stop) == (0, len(self.noisy_scale)):
            return self
        chosen = slice(start, stop)
        return ChainSchedule(
            self.noisy_scale[chosen],
            self.output_scale[chosen],
            self.noisy_weight[chosen],
            self.clean_weight[chosen],
            self.noise_scale[chosen],
        )

    @cached_property
    def rows(self) -> Tensor:
        """Return the numbers of every step, (N, 5), float32."""
        columns = (
            self.noisy_scale,
            self.output_scale,
            self.noisy_weight,
            self.clean_weight,
            self.noise_scale,
        )
        return torch.tensor(list(zip(*columns, strict=True)))


class _Layer:
    """One affine map of the stack, with its gradients once `backward` needs them."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias
        self.transposed = weight.transpose(1, 2)

    def start_backward(self) -> None:
        self.weight_gradient = torch.zeros_like(self.weight)
        self.bias_gradient = torch.zeros_like(self.bias)

    def accumulate(self, inputs: Tensor, gradient: Tensor) -> None:
        """Add the weight's gradient for one use of the layer."""
        self.weight_gradient.baddbmm_(inputs.transpose(1, 2), gradient)


def reverse_chain(
    schedule: ChainSchedule,
    noise: Tensor,
    observations: Tensor,
    embedded: Tensor,
    parameters: Sequence[Tensor],
) -> Tensor:
    """Return the actions (R, B, A) at the end of the reverse chain.

    The chain is as long as the schedule, which may be part of a longer one.
    `noise` is (R, N, B, A): entry 0 starts the chain, entry k, scaled, joins after its
    k-th step, nothing joins after the last. Observations are (R, B, O), the embedded
    denoising steps (R, N, T); `parameters` are weight and bias of every layer, the
    first of which takes [action, denoising step, state]. Gradients are for embedded
    steps and parameters.
    """
    tensors = (noise, observations, embedded, *parameters)
    if torch.is_grad_enabled():
        return _ReverseChain.apply(schedule, *tensors)
    return _forward(schedule, False, *tensors)[0]


class _ReverseChain(torch.autograd.Function):
    @staticmethod
    def forward(ctx, schedule: ChainSchedule, *tensors: Tensor) -> Tensor:
        keeps = any(ctx.needs_input_grad)
        actions, ctx.inputs, ctx.tape = _forward(schedule, keeps, *tensors)
        if ctx.inputs is None:
            ctx.schedule = schedule
            ctx.save_for_backward(*tensors)
        return actions

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, tape = ctx.inputs, ctx.tape
        del ctx.inputs, ctx.tape
        if inputs is not None:
            gradients = chain_backward(inputs, tape, gradient)
        else:
            gradients = _backward(ctx.schedule, tape, gradient, *ctx.saved_tensors)
        return None, None, None, *gradients


def _forward(
    schedule: ChainSchedule,
    keeps: bool,
    noise: Tensor,
    observations: Tensor,
    embedded: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, ChainInputs | None, list]:
    """Return the actions and, for the backward pass, the kernels' inputs and a tape."""
    tensors = (noise, observations, embedded, *parameters)
    if kernels_apply(*tensors):
        contiguous = [tensor.contiguous() for tensor in tensors]
        inputs = ChainInputs(*contiguous[:3], contiguous[3:], schedule.rows)
        actions, tapes = chain_forward(inputs, keeps)
        return actions, inputs, tapes
    first, *hidden, last = _layers(parameters)
    action_weight, time_weight, state_weight = _split(first.weight, *tensors[:3])
    states = torch.bmm(observations, state_weight)
    times = torch.baddbmm(first.bias, embedded, time_weight)
    num_steps = times.shape[1]
    rows = times.transpose(0, 1).unsqueeze(2).contiguous()
    actions = noise[:, 0]
    tape = []
    for index in reversed(range(num_steps)):
        product = torch.bmm(actions, action_weight)
        outputs, slope = mish_forward(product, rows[index], states, keeps)
        activations, slopes = [outputs], [slope]
        for layer in hidden:
            product = torch.bmm(outputs, layer.weight)
            outputs, slope = mish_forward(product, layer.bias, None, keeps)
            activations.append(outputs)
            slopes.append(slope)
        outputs = torch.baddbmm(last.bias, outputs, last.weight)
        clean = torch.add(
            schedule.noisy_scale[index] * actions,
            outputs,
            alpha=schedule.output_scale[index],
        )
        if keeps:
            tape.append((actions, activations, slopes, clean))
        actions = schedule.noisy_weight[index] * actions
        actions.add_(clean.clamp(-1, 1), alpha=schedule.clean_weight[index])
        if index > 0:  # the last reverse step adds no noise
            fresh = noise[:, num_steps - index]
            actions.add_(fresh, alpha=schedule.noise_scale[index])
    return actions, None, tape


def _backward(
    schedule: ChainSchedule,
    tape: list,
    gradient: Tensor,
    noise: Tensor,
    observations: Tensor,
    embedded: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, ...]:
    """Return the gradients of the embedded steps and of the parameters."""
    first, *hidden, last = _layers(parameters)
    for layer in (first, *hidden, last):
        layer.start_backward()
    weights = _split(first.weight, noise, observations, embedded)
    gradients = _split(first.weight_gradient, noise, observations, embedded)
    state_gradient = 0
    time_gradients = []
    for index, (actions, activations, slopes, clean) in enumerate(tape[::-1]):
        clean_gradient = (gradient * _is_inside(clean)).mul_(
            schedule.clean_weight[index]
        )
        flow = schedule.output_scale[index] * clean_gradient
        last.accumulate(activations[-1], flow)
        last.bias_gradient += flow.sum(dim=1, keepdim=True)
        flow = torch.bmm(flow, last.transposed)
        for depth in reversed(range(len(hidden))):
            layer = hidden[depth]
            flow, rows = mish_backward(flow, slopes[depth + 1])
            layer.bias_gradient += rows
            layer.accumulate(activations[depth], flow)
            flow = torch.bmm(flow, layer.transposed)
        flow, rows = mish_backward(flow, slopes[0])
        time_gradients.append(rows)
        state_gradient = state_gradient + flow
        gradients[0].baddbmm_(actions.transpose(1, 2), flow)
        gradient = schedule.noisy_weight[index] * gradient
        gradient.add_(clean_gradient, alpha=schedule.noisy_scale[index])
        gradient.baddbmm_(flow, weights[0].transpose(1, 2))
    time_gradient = torch.cat(time_gradients, dim=1)
    gradients[1].baddbmm_(embedded.transpose(1, 2), time_gradient)
    gradients[2].baddbmm_(observations.transpose(1, 2), state_gradient)
    first.bias_gradient += time_gradient.sum(dim=1, keepdim=True)
    embedded_gradient = torch.bmm(time_gradient, weights[1].transpose(1, 2))
    layers = (first, *hidden, last)
    others = [g for x in layers for g in (x.weight_gradient, x.bias_gradient)]
    return embedded_gradient, *others


def _split(
    weight: Tensor, noise: Tensor, observations: Tensor, embedded: Tensor
) -> tuple[Tensor, ...]:
    """Return views of the first layer's rows for action, step and state."""
    dims = [values.shape[-1] for values in (noise, embedded, observations)]
    return weight.split(dims, dim=1)


def _layers(parameters: Sequence[Tensor]) -> list[_Layer]:
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    return [_Layer(weight, bias) for weight, bias in pairs]


def _is_inside(values: Tensor) -> Tensor:
    """Tell where clamping to [-1, 1] passes the gradient on, as numbers."""
    return (values.abs() <= 1).to(values.dtype)
