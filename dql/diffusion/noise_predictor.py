"""The network of a diffusion policy, for R stacked runs (Appendix B)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dql.core.kernels import mish
from dql.core.networks import MLP, Generators, StackedLinear


def sinusoidal_embedding(num_steps: int, dim: int) -> Tensor:
    """Embed the indices 0..N-1 by sines and cosines of geometric rates, (N, dim).

    In float64: in float32 the angles of late steps are off by more than rounding.
    """
    half = dim // 2
    powers = torch.arange(half, dtype=torch.float64)
    rates = torch.exp(powers * (-math.log(10000) / (half - 1)))
    angles = torch.arange(num_steps)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Prepared(NamedTuple):
    """What the denoising steps of a batch have in common."""

    observations: Tensor  # (R, B, O)
    embedded: Tensor  # (R, N, T), the denoising steps behind the time's network


class FirstLayer(NamedTuple):
    """The first layer's parts of a batch: what is computed once per chain."""

    states: Tensor  # (R, B, H), the state's share
    times: Tensor  # (R, steps, H), the denoising steps' shares, bias included
    action_weight: Tensor  # (R, A, H)


class NoisePredictor(nn.Module):
    """epsilon_theta(a^i, s, i): three hidden Mish layers on [action, time, state].

    The first layer is applied to its three inputs separately: the state's share is
    computed once per chain and the time's share once per denoising step, since neither
    changes along the other. The sum is the same affine map.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        time_embedding_dim: int,
        num_denoising_steps: int,
    ) -> None:
        super().__init__()
        time_dim = time_embedding_dim
        self.split = [action_dim, time_dim, observation_dim]
        self.time_mlp = MLP(
            [time_dim, 2 * time_dim, time_dim], generators, activation="mish"
        )
        self.input_layer = StackedLinear(sum(self.split), hidden_dim, generators)
        self.mlp = MLP(
            [hidden_dim, hidden_dim, hidden_dim, action_dim],
            generators,
            activation="mish",
        )
        embedding = sinusoidal_embedding(num_denoising_steps, time_dim).float()
        embedding = embedding.expand(len(generators), -1, -1).clone()
        self.register_buffer("embedding", embedding, persistent=False)
        one_hot = torch.eye(num_denoising_steps)
        self.register_buffer("one_hot", one_hot, persistent=False)

    @cached_property
    def ordered(self) -> list[Tensor]:
        """List weights and biases in order, the time's network apart, as MLP does."""
        return [*self.input_layer.parameters(), *self.mlp.ordered]

    def prepare(self, observations: Tensor) -> Prepared:
        """Compute what the denoising steps of a batch (R, B, O) have in common."""
        return Prepared(observations, self.time_mlp(self.embedding))

    def first_layer(
        self, observations: Tensor, indices: Sequence[int] | None = None
    ) -> FirstLayer:
        """Compute the first layer's parts of a batch (R, B, O), for `at`.

        `indices` are the steps that will be asked for, in their order; None: all.
        """
        embedding = self.embedding
        if indices is not None:
            embedding = torch.stack([embedding[:, index] for index in indices], dim=1)
        weights = self.input_layer.weight.split(self.split, dim=1)
        action_weight, time_weight, observation_weight = weights
        embedded = self.time_mlp(embedding)
        return FirstLayer(
            torch.bmm(observations, observation_weight),
            torch.baddbmm(self.input_layer.bias, embedded, time_weight),
            action_weight,
        )

    def at(self, first: FirstLayer, noisy_actions: Tensor, position: int) -> Tensor:
        """Predict for actions (R, B, A) at the step in a position of `indices`."""
        time = first.times[:, position : position + 1].contiguous()
        hidden = torch.bmm(noisy_actions, first.action_weight)
        return self.mlp(mish(hidden, time, first.states))

    def embedded(self, steps: Tensor, prepared: Prepared | None = None) -> Tensor:
        """Return each row's denoising step behind the time's network, (R, B, T)."""
        if prepared is None and len(self.one_hot) > steps.shape[1]:
            return self.time_mlp(self.embedding[0][steps])  # less than all steps
        every = prepared.embedded if prepared else self.time_mlp(self.embedding)
        # A product instead of a gather: its backward pass is a product as well.
        chosen = torch.nn.functional.embedding(steps, self.one_hot)
        return torch.bmm(chosen, every)

    def forward(
        self,
        observations: Tensor | Prepared,
        noisy_actions: Tensor,
        steps: Tensor,
        *,
        frozen: bool = False,
    ) -> Tensor:
        """Predict for actions that stand at different denoising steps (R, B).

        Observations (R, B, O) may come as what `prepare` made of them. A `frozen`
        network passes gradients to the actions and takes none itself.
        """
        prepared = None
        if isinstance(observations, Prepared):
            prepared, observations = observations, observations.observations
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            embedded = self.embedded(steps, prepared)
        inputs = torch.cat([noisy_actions, embedded, observations], dim=-1)
        return self.mlp.behind([self.input_layer], inputs, frozen=frozen)
