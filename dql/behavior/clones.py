"""Policies that act as recorded data did: published diffusion models of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dql.behavior.moments import Moments

if TYPE_CHECKING:
    from dql.diffusion.edm import DiffusionModel


@dataclass(frozen=True)
class Clone:
    """A policy that acts as the recorded data did: an action model and its scale."""

    model: DiffusionModel
    moments: Moments

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), in [-1, 1], float32."""
        import torch

        shape = (len(observations), self.model.output_dim)
        noise = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
        conditions = torch.from_numpy(self.moments.normalized(observations))
        with torch.inference_mode():
            return self.model.sample(conditions, noise).numpy()
