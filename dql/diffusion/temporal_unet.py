"""Networks over time of R stacked runs (Janner et al., 2022, Appendix C, Figure A1).

A U-Net that maps sequences to sequences, and its first half with a number at its end.
Inside, values are (B, R C, L): a run's C channels lie side by side, so that one grouped
convolution serves all runs and mixes none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dql.core.networks import MLP, Generators, StackedLinear
from dql.diffusion.noise_predictor import sinusoidal_embedding

KERNEL_SIZE = 5
MAX_GROUPS = 8
"""Groups of channels that are normalised together, as many at the paper's sizes."""
MIN_CHANNELS = 4
"""Of a group: over time of length 1 fewer would come out the same whatever they are."""


class StackedConvolution(nn.Module):
    """S independent convolutions over time; initialised as `nn.Conv1d`, run by run."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int,
        generators: Generators,
        *,
        stride: int = 1,
        is_transposed: bool = False,
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(input_dim * kernel_size)
        dims = (input_dim, output_dim) if is_transposed else (output_dim, input_dim)
        weights, biases = [], []
        for generator in generators:
            weight = torch.rand(*dims, kernel_size, generator=generator)
            bias = torch.rand(output_dim, generator=generator)
            weights.append((2 * weight - 1) * bound)
            biases.append((2 * bias - 1) * bound)
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = nn.Parameter(torch.stack(biases))
        self.stride, self.padding = stride, (kernel_size - 1) // 2
        self.convolve = functional.conv1d
        if is_transposed:
            self.convolve = functional.conv_transpose1d

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, S input_dim, L) to (B, S output_dim, L')."""
        return self.convolve(
            values,
            self.weight.flatten(0, 1),
            self.bias.flatten(),
            stride=self.stride,
            padding=self.padding,
            groups=len(self.weight),
        )


class ConvolutionBlock(nn.Module):
    """A convolution, a normalisation of groups of channels, and Mish."""

    def __init__(self, input_dim: int, output_dim: int, generators: Generators) -> None:
        super().__init__()
        self.convolution = StackedConvolution(
            input_dim, output_dim, KERNEL_SIZE, generators
        )
        self.num_groups = min(MAX_GROUPS, max(output_dim // MIN_CHANNELS, 1))
        self.gain = nn.Parameter(torch.ones(len(generators), output_dim))
        self.offset = nn.Parameter(torch.zeros(len(generators), output_dim))

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, R input_dim, L) to (B, R output_dim, L)."""
        groups = self.num_groups * len(self.gain)
        gain, offset = self.gain.flatten(), self.offset.flatten()
        values = functional.group_norm(self.convolution(values), groups, gain, offset)
        return functional.mish(values)


class ResidualBlock(nn.Module):
    """Two blocks with the denoising step between them, and a way around both."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embedding_dim: int,
        generators: Generators,
    ) -> None:
        super().__init__()
        self.first = ConvolutionBlock(input_dim, output_dim, generators)
        self.second = ConvolutionBlock(output_dim, output_dim, generators)
        self.embedding_layer = StackedLinear(embedding_dim, output_dim, generators)
        self.around: nn.Module = nn.Identity()
        if input_dim != output_dim:
            self.around = StackedConvolution(input_dim, output_dim, 1, generators)

    def forward(self, values: Tensor, embedding: Tensor) -> Tensor:
        """Map (B, R C, L), given what describes the row, (R, B, T) behind Mish."""
        added = self.embedding_layer(embedding).transpose(0, 1).flatten(1)
        hidden = self.first(values) + added[..., None]
        return self.second(hidden) + self.around(values)


class StepEmbedding(nn.Module):
    """The index of a denoising step, by sines and cosines and a small network."""

    def __init__(self, num_steps: int, dim: int, generators: Generators) -> None:
        super().__init__()
        self.mlp = MLP([dim, 4 * dim, dim], generators, activation="mish")
        table = sinusoidal_embedding(num_steps, dim).float()
        self.register_buffer("table", table, persistent=False)

    def forward(self, steps: Tensor) -> Tensor:
        """Embed indices (R, B) as (R, B, dim)."""
        return self.mlp(functional.embedding(steps, self.table))


class TemporalUnet(nn.Module):
    """Maps rows of sequences to as many, by halves of the length and back."""

    def __init__(
        self,
        row_dim: int,
        generators: Generators,
        *,
        level_dims: list[int],
        num_steps: int,
        condition_dim: int = 0,
    ) -> None:
        super().__init__()
        first, last = level_dims[0], level_dims[-1]
        self.steps = StepEmbedding(num_steps, first, generators)
        dim = first + condition_dim

        def block(input_dim: int, output_dim: int) -> ResidualBlock:
            return ResidualBlock(input_dim, output_dim, dim, generators)

        inputs = [row_dim, *level_dims[:-1]]
        self.down = nn.ModuleList(
            nn.ModuleList([block(before, here), block(here, here)])
            for before, here in zip(inputs, level_dims, strict=True)
        )
        self.halvings = nn.ModuleList(
            StackedConvolution(here, here, 3, generators, stride=2)
            for here in level_dims[:-1]
        )
        self.middle = nn.ModuleList([block(last, last), block(last, last)])
        upwards = list(zip(level_dims[:0:-1], level_dims[-2::-1], strict=True))
        self.up = nn.ModuleList(
            nn.ModuleList([block(2 * here, above), block(above, above)])
            for here, above in upwards
        )
        self.doublings = nn.ModuleList(
            StackedConvolution(above, above, 4, generators, stride=2,
                               is_transposed=True)
            for _, above in upwards
        )  # fmt: skip
        self.last = ConvolutionBlock(first, first, generators)
        self.output = StackedConvolution(first, row_dim, 1, generators)

    def forward(
        self, plans: Tensor, steps: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Map (R, B, L, D) at denoising steps (R, B); `condition` is (R, B, T)."""
        embedding = self.steps(steps)
        if condition is not None:
            embedding = torch.cat([embedding, condition], dim=-1)
        embedding = functional.mish(embedding)
        values, kept = side_by_side(plans), []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                values = block(values, embedding)
            kept.append(values)
            if level < len(self.halvings):
                values = self.halvings[level](values)
        for block in self.middle:
            values = block(values, embedding)
        for blocks, double in zip(self.up, self.doublings, strict=True):
            values = beside(values, kept.pop(), len(plans))
            for block in blocks:
                values = block(values, embedding)
            values = double(values)
        return apart(self.output(self.last(values)), len(plans))


class TemporalValue(nn.Module):
    """Maps sequences to a number by halves of the length."""

    def __init__(
        self,
        row_dim: int,
        length: int,
        generators: Generators,
        *,
        level_dims: list[int],
        num_steps: int,
    ) -> None:
        super().__init__()
        dim = level_dims[0]
        self.steps = StepEmbedding(num_steps, dim, generators)
        pairs = [1 + (index < len(level_dims)) for index in range(len(level_dims) + 2)]
        outputs = [*level_dims, level_dims[-1] // 2, level_dims[-1] // 4]
        inputs = [row_dim, *outputs[:-1]]
        self.levels = nn.ModuleList()
        for before, here, count in zip(inputs, outputs, pairs, strict=True):
            sizes = [before, *[here] * count]
            blocks = [ResidualBlock(a, b, dim, generators)
                      for a, b in zip(sizes, sizes[1:], strict=False)]  # fmt: skip
            halve = StackedConvolution(here, here, 3, generators, stride=2)
            self.levels.append(nn.ModuleList([*blocks, halve]))
            length = (length + 1) // 2
        size = outputs[-1] * length
        dims = [size + dim, max(size // 2, 1), 1]
        self.mlp = MLP(dims, generators, activation="mish")

    def forward(self, plans: Tensor, steps: Tensor) -> Tensor:
        """Return a number (R, B) for plans (R, B, L, D) at denoising steps (R, B)."""
        embedded = self.steps(steps)
        embedding, values = functional.mish(embedded), side_by_side(plans)
        for *blocks, halve in self.levels:
            for block in blocks:
                values = block(values, embedding)
            values = halve(values)
        hidden = values.unflatten(1, (len(plans), -1)).transpose(0, 1).flatten(2)
        return self.mlp(torch.cat([hidden, embedded], dim=-1)).squeeze(-1)


def side_by_side(plans: Tensor) -> Tensor:
    """Return (R, B, L, D) as (B, R D, L)."""
    return plans.permute(1, 0, 3, 2).flatten(1, 2)


def apart(values: Tensor, num_runs: int) -> Tensor:
    """Return (B, R D, L) as (R, B, L, D)."""
    return values.unflatten(1, (num_runs, -1)).permute(1, 0, 3, 2)


def beside(first: Tensor, second: Tensor, num_runs: int) -> Tensor:
    """Join the channels of two (B, R C, L), run by run."""
    parts = [values.unflatten(1, (num_runs, -1)) for values in (first, second)]
    return torch.cat(parts, dim=2).flatten(1, 2)
