"""The scale of a set's observations, which published models of it normalise with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STD_OFFSET = 1e-3
"""Added to each standard deviation that states are divided by."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each observation dimension of a set, (O,)."""

    mean: np.ndarray
    std: np.ndarray

    def normalized(self, observations: np.ndarray) -> np.ndarray:
        """Return observations (..., O) as the published models saw them, float32."""
        scaled = (observations - self.mean) / (self.std + STD_OFFSET)
        return scaled.astype(np.float32)
