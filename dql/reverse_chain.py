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
    N(0, 1). The last step's numbers are 0, 1 and 0: the chain ends with the clamped a^0.
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


class ReverseChain(torch.autograd.Function):
    """Map (is_recorded, schedule, noise, states, times, weights) to actions (R, B, A).

    `is_recorded` is `torch.is_grad_enabled()` at the call, which `forward` cannot see.
    The chain is as long as the schedule, which may be part of a longer one.
    `noise` is (R, N, B, A): entry 0 starts the chain and takes no gradient, entry k,
    scaled, joins after its k-th step, nothing joins after the last. `states` (R, B, H)
    and `times` (R, N, H) are the first layer's shares; then come its action weight
    (R, A, H) and (weight, bias) of the layers behind.
    """

    @staticmethod
    def forward(
        ctx,
        is_recorded: bool,
        schedule: ChainSchedule,
        noise: Tensor,
        states: Tensor,
        times: Tensor,
        action_weight: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        keeps = is_recorded and any(ctx.needs_input_grad)
        tensors = (noise, states, times, action_weight, *parameters)
        ctx.uses_kernels = kernels_apply(*tensors)
        if ctx.uses_kernels:
            contiguous = [tensor.contiguous() for tensor in tensors]
            inputs = ChainInputs(*contiguous[:4], contiguous[4:], schedule.rows)
            actions, tapes = chain_forward(inputs, keeps)
            if keeps:
                ctx.inputs, ctx.tape = inputs, tapes
            return actions
        *hidden, last = _layers(parameters)
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
        if keeps:
            ctx.schedule, ctx.tape = schedule, tape
            ctx.save_for_backward(states, times, action_weight, *parameters)
        return actions

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.uses_kernels:
            results = chain_backward(ctx.inputs, ctx.tape, gradient)
            del ctx.inputs, ctx.tape
            return None, None, None, *results
        states, times, action_weight, *parameters = ctx.saved_tensors
        layers = _layers(parameters)
        for layer in layers:
            layer.start_backward()
        *hidden, last = layers
        first = _Layer(action_weight, states)
        first.start_backward()
        times_gradient = torch.empty_like(times.transpose(0, 1).unsqueeze(2))
        schedule = ctx.schedule
        for index, (actions, activations, slopes, clean) in enumerate(ctx.tape[::-1]):
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
            flow, times_gradient[index] = mish_backward(flow, slopes[0])
            first.bias_gradient += flow
            first.accumulate(actions, flow)
            gradient = schedule.noisy_weight[index] * gradient
            gradient.add_(clean_gradient, alpha=schedule.noisy_scale[index])
            gradient.baddbmm_(flow, first.transposed)
        del ctx.tape
        others = [g for x in layers for g in (x.weight_gradient, x.bias_gradient)]
        times_gradient = times_gradient.squeeze(2).transpose(0, 1)
        shared = (first.bias_gradient, times_gradient, first.weight_gradient)
        return None, None, None, *shared, *others


def _layers(parameters: Sequence[Tensor]) -> list[_Layer]:
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    return [_Layer(weight, bias) for weight, bias in pairs]


def _is_inside(values: Tensor) -> Tensor:
    """Tell where clamping to [-1, 1] passes the gradient on, as numbers."""
    return (values.abs() <= 1).to(values.dtype)
