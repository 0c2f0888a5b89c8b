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
from typing import NamedTuple

import torch
from torch import Tensor

from dql.core.kernels import mish_backward, mish_forward
from dql.core.kernels.chain import ChainInputs, chain_backward, chain_forward
from dql.core.kernels.pointers import kernels_apply


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


class _Visit(NamedTuple):
    """What one reverse step leaves for the backward pass."""

    inputs: list[Tensor]  # of every layer, the first one's being the noisy actions
    kept: list[Tensor]  # of every hidden layer's Mish
    is_inside: Tensor  # where the clamp passes the gradient on


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
        ctx.schedule = schedule
        if keeps:
            ctx.save_for_backward(*tensors)
        return actions

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, tape = ctx.inputs, ctx.tape
        del ctx.inputs, ctx.tape
        tensors = ctx.saved_tensors  # raises where one was written to meanwhile
        if inputs is not None:
            gradients = chain_backward(inputs, tape, gradient)
        else:
            gradients = _backward(ctx.schedule, tape, gradient, *tensors)
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
    actions = noise[:, 0]
    visits = []
    for index in reversed(range(num_steps)):
        inputs, kept = [actions], []
        sums = states + times[:, index : index + 1]
        sums.baddbmm_(actions, action_weight)
        for layer in (*hidden, last):
            outputs, keepsake = mish_forward(sums, keeps)
            inputs.append(outputs)
            kept.append(keepsake)
            scale = schedule.output_scale[index] if layer is last else 1
            sums = torch.baddbmm(
                layer.bias, outputs, layer.weight, beta=scale, alpha=scale
            )
        predicted = sums.add_(actions, alpha=schedule.noisy_scale[index])
        clamped = predicted.clamp(-1, 1)
        if keeps:
            visits.append(_Visit(inputs, kept, predicted == clamped))
        actions = schedule.noisy_weight[index] * actions
        actions.add_(clamped, alpha=schedule.clean_weight[index])
        if index > 0:  # the last reverse step adds no noise
            fresh = noise[:, num_steps - index]
            actions.add_(fresh, alpha=schedule.noise_scale[index])
    return actions, None, visits


def _backward(
    schedule: ChainSchedule,
    visits: list[_Visit],
    gradient: Tensor,
    noise: Tensor,
    observations: Tensor,
    embedded: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, ...]:
    """Return the gradients of the embedded steps and of the parameters.

    Going back, a step leaves the gradients behind its layers. Those of the weights are
    one product over all steps' rows in the end, instead of one for each step.
    """
    first, *hidden, last = _layers(parameters)
    weights = _split(first.weight, noise, observations, embedded)
    flows: list[list[Tensor]] = []
    for index, visit in enumerate(reversed(visits)):
        clean = gradient * visit.is_inside
        flow = schedule.output_scale[index] * schedule.clean_weight[index] * clean
        flows.append([flow])
        for layer, kept in zip((last, *hidden[::-1]), visit.kept[::-1], strict=True):
            flow = mish_backward(torch.bmm(flow, layer.weight.transpose(1, 2)), kept)
            flows[-1].append(flow)
        gradient = schedule.noisy_weight[index] * gradient
        scale = schedule.noisy_scale[index] * schedule.clean_weight[index]
        gradient.add_(clean, alpha=scale)
        gradient.baddbmm_(flow, weights[0].transpose(1, 2))
    *others, first_flows = [
        torch.stack(steps, dim=1) for steps in zip(*flows, strict=True)
    ]
    values = [visit.inputs for visit in reversed(visits)]
    inputs = [torch.cat(steps, dim=1) for steps in zip(*values, strict=True)]
    time_gradient = first_flows.sum(dim=2)  # (R, N, H)
    parts = [
        torch.bmm(inputs[0].transpose(1, 2), first_flows.flatten(1, 2)),
        torch.bmm(embedded.transpose(1, 2), time_gradient),
        torch.bmm(observations.transpose(1, 2), first_flows.sum(dim=1)),
    ]
    gradients = [torch.cat(parts, dim=1), time_gradient.sum(dim=1, keepdim=True)]
    for rows, steps in zip(inputs[1:], others[::-1], strict=True):
        flow = steps.flatten(1, 2)
        gradients.append(torch.bmm(rows.transpose(1, 2), flow))
        gradients.append(flow.sum(dim=1, keepdim=True))
    return torch.bmm(time_gradient, weights[1].transpose(1, 2)), *gradients


def _split(
    weight: Tensor, noise: Tensor, observations: Tensor, embedded: Tensor
) -> tuple[Tensor, ...]:
    """Return views of the first layer's rows for action, step and state."""
    dims = [values.shape[-1] for values in (noise, embedded, observations)]
    return weight.split(dims, dim=1)


class _Layer(NamedTuple):
    weight: Tensor
    bias: Tensor


def _layers(parameters: Sequence[Tensor]) -> list[_Layer]:
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    return [_Layer(weight, bias) for weight, bias in pairs]
