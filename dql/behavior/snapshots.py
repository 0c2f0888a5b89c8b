"""Policies of two hidden layers: tanh-Gaussian ones of SAC, DAPG's Gaussians.

Two layers, then a mean and a log standard deviation for each action (Haarnoja et al.,
2018; Rajeswaran et al., 2018; the policies of Fu et al., 2021, for off-policy
evaluation). Published ones, and those that SAC learns here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dql.core.array_shapes import check_shapes

HIDDEN_DIM = 256
LOG_STD_RANGE = (-5.0, 2.0)


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0.0)


@dataclass(frozen=True)
class Architecture:
    """What the kinds of policies differ in."""

    activation: Callable[[np.ndarray], np.ndarray]
    squash: Callable[[np.ndarray], np.ndarray] | None
    """Of the Gaussian draw; without, the environment clips it."""
    hidden_dim: int | None
    """None: as wide as the file has it."""
    log_std_range: tuple[float, float] = (-np.inf, np.inf)


ARCHITECTURES = {
    "sac_policy": Architecture(_relu, np.tanh, HIDDEN_DIM, LOG_STD_RANGE),
    "dapg_policy": Architecture(np.tanh, None, None),
    "goal_policy": Architecture(_relu, np.tanh, HIDDEN_DIM, (-20.0, 2.0)),
    "own_sac_policy": Architecture(_relu, np.tanh, None, (-20.0, 2.0)),
}


def layer_shapes(
    observation_dim: int, action_dim: int, hidden_dim: int = HIDDEN_DIM
) -> dict[str, tuple[int, ...]]:
    """Return the published name and shape of every array, as (outputs, inputs)."""
    widths = {
        "fc0": (hidden_dim, observation_dim),
        "fc1": (hidden_dim, hidden_dim),
        "last_fc": (action_dim, hidden_dim),
        "last_fc_log_std": (action_dim, hidden_dim),
    }
    weights = {f"{name}.weight": shape for name, shape in widths.items()}
    biases = {f"{name}.bias": shape[:1] for name, shape in widths.items()}
    return weights | biases


class Snapshot:
    """A policy that draws mean + std x noise, squashed or not; other shapes raise."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        observation_dim: int,
        action_dim: int,
        kind: str = "sac_policy",
    ) -> None:
        self._architecture = ARCHITECTURES[kind]
        width = self._architecture.hidden_dim or np.size(weights.get("fc0.bias", 0))
        check_shapes(weights, layer_shapes(observation_dim, action_dim, width))
        self.action_dim = action_dim
        self._arrays = weights

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw one action per observation, (B, O) to (B, A), in [-1, 1], float32."""
        hidden = self._hidden(observations)
        log_stds = self._affine("last_fc_log_std", hidden)
        log_stds = np.clip(log_stds, *self._architecture.log_std_range)
        shape = (len(observations), self.action_dim)
        noise = generator.standard_normal(shape, dtype=np.float32)
        return self._bounded(self._affine("last_fc", hidden) + np.exp(log_stds) * noise)

    def mean_actions(self, observations: np.ndarray) -> np.ndarray:
        """Return the action of no noise per observation, (B, O) to (B, A), float32."""
        return self._bounded(self._affine("last_fc", self._hidden(observations)))

    def _hidden(self, observations: np.ndarray) -> np.ndarray:
        hidden = observations.astype(np.float32)
        for layer in ("fc0", "fc1"):
            hidden = self._architecture.activation(self._affine(layer, hidden))
        return hidden

    def _bounded(self, values: np.ndarray) -> np.ndarray:
        squash = self._architecture.squash
        return squash(values) if squash else np.clip(values, -1.0, 1.0)

    def _affine(self, layer: str, inputs: np.ndarray) -> np.ndarray:
        weight, bias = self._arrays[f"{layer}.weight"], self._arrays[f"{layer}.bias"]
        return inputs @ weight.T + bias


@dataclass(frozen=True)
class ByMean:
    """A policy that acts by the mean of another, whatever the generator."""

    policy: Snapshot

    def actions(
        self, observations: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Return one action per observation, (B, O) to (B, A), in [-1, 1], float32."""
        return self.policy.mean_actions(observations)
