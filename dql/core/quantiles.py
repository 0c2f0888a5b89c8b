"""A normalisation by each dimension's own distribution, for R stacked runs."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_table(values: Tensor, num_quantiles: int) -> Tensor:
    """Return equally likely quantiles of each column of (n, D), (D, num_quantiles)."""
    ordered = values.sort(dim=0).values
    places = torch.linspace(0, len(values) - 1, num_quantiles, device=values.device)
    return ordered[places.round().long()].T.contiguous()


def to_quantiles(values: Tensor, tables: Tensor) -> Tensor:
    """Map (R, n, D) to [-1, 1], uniform where distributed as tables (R, D, Q) say.

    Between two quantiles it is linear; what lies outside them is at the end.
    """
    columns = values.transpose(1, 2).contiguous()
    last = tables.shape[-1] - 1
    above = torch.searchsorted(tables, columns).clamp(1, last)
    low, high = tables.gather(2, above - 1), tables.gather(2, above)
    share = ((columns - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return (2 * (above - 1 + share) / last - 1).transpose(1, 2)
