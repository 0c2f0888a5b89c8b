"""Dropout from a few addressed random numbers, for R stacked runs.

A mask as large as a transformer's activations would be most of a step's noise. Here a
row draws one number, and a hash of it and of a place within the row decides whether the
place is kept: the same in any company, and drawn anew by a recorded step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dql.core.noise import Draw

WORD = 0xFFFFFFFF
STRIDE = 0x9E3779B9
"""Apart by this, the places of a row begin far from one another (Weyl's sequence)."""


def key_draw(batch_size: int, num_sites: int) -> Draw:
    """Return the draw of the keys of a batch: one for each row and use of dropout."""
    return Draw((batch_size, num_sites), "integer", 2**31)


def mixed(words: Tensor) -> Tensor:
    """Return a hash of 32-bit words held in int64.

    Two rounds of multiplication and shift, with the constants of Wellons'
    hash-prospector (lowbias32).
    """
    words = words ^ (words >> 16)
    words = (words * 0x7FEB352D) & WORD
    words = words ^ (words >> 15)
    words = (words * 0x846CA68B) & WORD
    return words ^ (words >> 16)


def dropout(values: Tensor, keys: Tensor, rate: float) -> Tensor:
    """Zero a share `rate` < 1 of values (R, B, ...) by keys (R, B); scale the rest."""
    if rate == 0.0:
        return values
    size = values[0, 0].numel()
    places = torch.arange(size, device=values.device) * STRIDE
    words = mixed((mixed(keys)[..., None] + places) & WORD)
    kept = (words >= round(rate * (WORD + 1))).view(values.shape)
    return values * kept / (1 - rate)
