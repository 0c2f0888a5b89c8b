"""Networks of R independent runs, stacked along a leading run axis.

Every parameter is (S, ...), S = runs x members; run r owns the rows [r x members,
(r + 1) x members). One batched product serves all of them, and no product mixes runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from dql.core.kernels import mish
from dql.core.kernels.mlp import fused_mlp, mlp_kernels_apply
from dql.errors import UserError

Generators = Sequence[torch.Generator]
"""One generator per run, for the initial weights."""


ACTIVATIONS = ("gelu", "mish", "relu")
KERNEL_ACTIVATIONS = ("mish", "relu")


class StackedLinear(nn.Module):
    """S independent affine maps; initialised as `nn.Linear`, run by run."""

    def __init__(
        self, input_dim: int, output_dim: int, generators: Generators, members: int = 1
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(input_dim)
        weights, biases = [], []
        for generator in generators:
            for _ in range(members):
                weight = torch.rand(input_dim, output_dim, generator=generator)
                bias = torch.rand(1, output_dim, generator=generator)
                weights.append((2 * weight - 1) * bound)
                biases.append((2 * bias - 1) * bound)
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = nn.Parameter(torch.stack(biases))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (S, B, input_dim) to (S, B, output_dim)."""
        return torch.baddbmm(self.bias, inputs, self.weight)

    def activate(self, inputs: Tensor, activation: str) -> Tensor:
        """Return the activation of the map."""
        if activation == "relu":
            return self(inputs).relu()
        if activation == "gelu":
            return torch.nn.functional.gelu(self(inputs), approximate="tanh")
        return mish(torch.bmm(inputs, self.weight), self.bias)


class StackedLayerNorm(nn.Module):
    """S independent layer normalisations, gain and offset (Ba et al., 2016)."""

    def __init__(self, stacks: int, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(stacks, 1, dim))
        self.offset = nn.Parameter(torch.zeros(stacks, 1, dim))

    def forward(self, inputs: Tensor) -> Tensor:
        """Give every row of (S, B, dim) mean 0 and variance 1, then gain and offset."""
        normalized = torch.nn.functional.layer_norm(inputs, inputs.shape[-1:])
        return torch.addcmul(self.offset, normalized, self.gain)


class MLP(nn.Module):
    """S independent multi-layer perceptrons with hidden layers of one width.

    `layer_norm` normalises every hidden layer's activations.
    """

    def __init__(
        self,
        dims: Sequence[int],
        generators: Generators,
        *,
        activation: str,
        members: int = 1,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {activation!r}; use {ACTIVATIONS}")
        self.activation, self.members = activation, members
        self.has_kernels = activation in KERNEL_ACTIVATIONS and not layer_norm
        self.layers = nn.ModuleList(
            StackedLinear(input_dim, output_dim, generators, members)
            for input_dim, output_dim in pairwise(dims)
        )
        stacks = len(generators) * members
        self.norms = nn.ModuleList(
            StackedLayerNorm(stacks, dim) for dim in dims[1:-1] if layer_norm
        )

    @cached_property
    def ordered(self) -> list[Tensor]:
        """List weights and biases in order: every step would look them up again.

        From the first use on, behind a move to a device that replaces parameters.
        """
        return [p for x in self.layers for p in (x.weight, x.bias)]

    def forward(self, inputs: Tensor, *, frozen: bool = False) -> Tensor:
        """Map (R, B, dims[0]) to (S, B, dims[-1]); the last layer is linear.

        The members of a run share its inputs.
        A `frozen` network passes gradients on and takes none for its parameters.
        """
        return self.behind((), inputs, frozen=frozen)

    def behind(
        self, first: Sequence[StackedLinear], inputs: Tensor, *, frozen: bool = False
    ) -> Tensor:
        """Map the inputs of further layers in front, activated like its own."""
        parameters = [p for x in first for p in (x.weight, x.bias)] + self.ordered
        if self.has_kernels and mlp_kernels_apply(inputs, parameters):
            return fused_mlp(self.activation, inputs, parameters, frozen=frozen)
        if self.members > 1:
            inputs = inputs.repeat_interleave(self.members, dim=0)
        layers = [*first, *self.layers]
        for index, layer in enumerate(layers[:-1]):
            inputs = layer.activate(inputs, self.activation)
            if self.norms:
                inputs = self.norms[index](inputs)
        return layers[-1](inputs)


class TwinCritic(nn.Module):
    """Two Q networks per run, or as many as `members` says."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        layer_norm: bool = False,
        members: int = 2,
    ) -> None:
        super().__init__()
        dims = [observation_dim + action_dim, *[hidden_dim] * num_hidden_layers, 1]
        extras = {"members": members, "layer_norm": layer_norm}
        self.mlp = MLP(dims, generators, activation=activation, **extras)

    def forward(
        self, observations: Tensor, actions: Tensor, *, frozen: bool = False
    ) -> Tensor:
        """Return Q1 and Q2 of (R, B, O) and (R, B, A) as (R, 2, B).

        `frozen` critics pass gradients to the actions and take none themselves.
        """
        num_runs, batch_size, _ = observations.shape
        inputs = torch.cat([observations, actions], dim=-1)
        q_values = self.mlp(inputs, frozen=frozen)
        return q_values.view(num_runs, self.mlp.members, batch_size)


class TwinValue(nn.Module):
    """Two networks of V per run, of ReLU layers."""

    def __init__(self, dims: Sequence[int], generators: Generators) -> None:
        super().__init__()
        self.mlp = MLP([*dims, 1], generators, activation="relu", members=2)

    def forward(self, observations: Tensor) -> Tensor:
        """Return V1 and V2 of (R, B, O), (R, 2, B)."""
        return self.mlp(observations)[..., 0].unflatten(0, (-1, 2))


class LogMultiplier(nn.Module):
    """The logarithm of each run's positive multiplier, (R, 1), 0 at first."""

    def __init__(self, num_runs: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(num_runs, 1))
