"""Published snapshots of SAC training runs: small tanh-Gaussian policies.

Two ReLU layers, then a mean and a log standard deviation for each action (Haarnoja et
al., 2018; the policies of Fu et al., 2021, for off-policy evaluation).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dql.core.array_shapes import check_shapes

HIDDEN_DIM = 256
LOG_STD_RANGE = (-5.0, 2.0)


def layer_shapes(observation_dim: int, action_dim: int) -> dict[str, tuple[int, ...]]:
    """Return the published name and shape of every array, as (outputs, inputs)."""
    widths = {
        "fc0": (HIDDEN_DIM, observation_dim),
        "fc1": (HIDDEN_DIM, HIDDEN_DIM),
        "last_fc": (action_dim, HIDDEN_DIM),
        "last_fc_log_std": (action_dim, HIDDEN_DIM),
    }
    weights = {f"{name}.weight": shape for name, shape in widths.items()}
    biases = {f"{name}.bias": shape[:1] for name, shape in widths.items()}
    return weights | biases


class Snapshot:
    """A policy that draws tanh(mean + std x noise); arrays of other shapes raise."""

    def __init__(
        self, weights: Mapping[str, np.ndarray], observation_dim: int, action_dim: int
    ) -> None:
        check_shapes(weights, layer_shapes(observation_dim, action_dim))
        self.action_dim = action_dim
        self._arrays = weights

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), in [-1, 1], float32."""
        hidden = observations.astype(np.float32)
        for layer in ("fc0", "fc1"):
            hidden = np.maximum(self._affine(layer, hidden), 0.0)
        log_stds = np.clip(self._affine("last_fc_log_std", hidden), *LOG_STD_RANGE)
        shape = (len(observations), self.action_dim)
        noise = generator.standard_normal(shape, dtype=np.float32)
        return np.tanh(self._affine("last_fc", hidden) + np.exp(log_stds) * noise)

    def _affine(self, layer: str, inputs: np.ndarray) -> np.ndarray:
        weight, bias = self._arrays[f"{layer}.weight"], self._arrays[f"{layer}.bias"]
        return inputs @ weight.T + bias
