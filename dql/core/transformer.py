"""A causal transformer as in GPT-2 (Radford et al., 2019), for R stacked runs.

Layer normalisation before each part, ReLU between the layers of the second part, and
no embedding of positions: whoever makes the tokens says where they stand.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dql.core.dropout import dropout
from dql.core.networks import Generators, StackedLayerNorm, StackedLinear

INITIAL_STD = 0.02
"""Of all weights; biases begin at 0."""
SITES_PER_BLOCK = 3
"""Where a block drops values: attention weights, and what each part adds."""


def gpt_linear(input_dim: int, output_dim: int, generators: Generators) -> nn.Module:
    """Return S affine maps that begin as GPT-2's do."""
    layer = StackedLinear(input_dim, output_dim, generators)
    weights = [torch.randn(input_dim, output_dim, generator=g) for g in generators]
    with torch.no_grad():
        layer.weight.copy_(INITIAL_STD * torch.stack(weights))
        layer.bias.zero_()
    return layer


class Transformer(nn.Module):
    """Blocks of attention and a network of two layers, behind them a normalisation."""

    def __init__(
        self,
        dim: int,
        generators: Generators,
        *,
        num_layers: int,
        num_heads: int,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.rate = dropout_rate
        self.blocks = nn.ModuleList(
            Block(dim, generators, num_heads, dropout_rate) for _ in range(num_layers)
        )
        self.norm = StackedLayerNorm(len(generators), dim)
        self.num_sites = 1 + SITES_PER_BLOCK * num_layers

    def forward(self, tokens: Tensor, mask: Tensor, keys: Tensor | None) -> Tensor:
        """Map tokens (R, B, T, D); one attends to itself and to unmasked ones before.

        `mask` (R, B, T) is 1 where a token counts. `keys` (R, B, num_sites) decide what
        dropout drops; None: nothing.
        """
        if keys is not None:
            tokens = dropout(tokens, keys[..., 0], self.rate)
        length = tokens.shape[2]
        every = torch.ones(length, length, dtype=torch.bool, device=tokens.device)
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
        seen = (every.tril() & (mask[:, :, None] > 0)) | itself
        for index, block in enumerate(self.blocks):
            sites = slice(1 + SITES_PER_BLOCK * index, None)
            tokens = block(tokens, seen, None if keys is None else keys[..., sites])
        return by_rows(self.norm, tokens)


class Block(nn.Module):
    """Attention, then a network; each adds to what it reads."""

    def __init__(
        self, dim: int, generators: Generators, num_heads: int, dropout_rate: float
    ) -> None:
        super().__init__()
        self.num_heads, self.rate = num_heads, dropout_rate
        self.attention_norm = StackedLayerNorm(len(generators), dim)
        self.attention_in = gpt_linear(dim, 3 * dim, generators)
        self.attention_out = gpt_linear(dim, dim, generators)
        self.network_norm = StackedLayerNorm(len(generators), dim)
        self.network_in = gpt_linear(dim, 4 * dim, generators)
        self.network_out = gpt_linear(4 * dim, dim, generators)

    def forward(self, tokens: Tensor, seen: Tensor, keys: Tensor | None) -> Tensor:
        """Map tokens (R, B, T, D); `seen` (R, B, T, T) says who attends to whom."""
        added = self.attend(by_rows(self.attention_norm, tokens), seen, keys)
        tokens = tokens + self._drop(added, keys, 1)
        hidden = by_rows(self.network_norm, tokens)
        hidden = by_rows(self.network_in, hidden).relu()
        return tokens + self._drop(by_rows(self.network_out, hidden), keys, 2)

    def attend(self, tokens: Tensor, seen: Tensor, keys: Tensor | None) -> Tensor:
        """Return softmax(q k' / sqrt(d)) v of every head, behind a linear map."""
        parts = by_rows(self.attention_in, tokens).chunk(3, dim=-1)
        queries, keyed, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(2, 3) for part in parts
        )
        scores = queries @ keyed.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        scores = scores.where(seen[:, :, None], torch.finfo(scores.dtype).min)
        weights = self._drop(scores.softmax(dim=-1), keys, 0)
        heads = (weights @ values).transpose(2, 3).flatten(3)
        return by_rows(self.attention_out, heads)

    def _drop(self, values: Tensor, keys: Tensor | None, site: int) -> Tensor:
        return values if keys is None else dropout(values, keys[..., site], self.rate)


def by_rows(layer: nn.Module, values: Tensor) -> Tensor:
    """Apply a stacked layer of (R, rows, .) to (R, B, T, .)."""
    return layer(values.flatten(1, 2)).unflatten(1, values.shape[1:3])
