"""Advantage-weighted regression (Peng et al., 2019, Algorithm 1) on a fixed dataset.

V regresses on returns, and the policy on the dataset's actions with weights
exp((return - V) / beta), at most 20. Adapted here, because a batch holds transitions:
the return is TD(0), r + gamma V'(s'), not TD(0.95) along the episode, with a slow copy
V' in the place of the values that AWR holds fixed in each of its iterations; advantages
are standardised over the batch, not over all data. The policy's deviation is learned,
not fixed, and its mean is bounded by a hyperbolic tangent, not by a penalty.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_settings import AWRSettings
from dql.agents.advantage_weighted import AdvantageWeighted
from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.core.batch import Batch
from dql.core.losses import (
    exponential_weights,
    mean_squared_error,
    standardize,
    temporal_difference_target,
)
from dql.core.optimization import gradient_step, polyak_update


class AWR(AdvantageWeighted):
    """V of the behaviour by TD(0), and a weighted regression; there is no Q."""

    def __init__(self, spec: AgentSpec, settings: Sequence[AWRSettings]) -> None:
        super().__init__(spec, settings)
        self.add_value()
        self.target_value = self.add_module("target_value", copy.deepcopy(self.value))

    @torch.no_grad()
    def returns(self, batch: Batch) -> Tensor:
        """Return r + gamma V'(s'), (R, B)."""
        next_v: Tensor | float = 0.0
        if self.spec.bootstraps:
            next_v = self.target_value(batch.next_observations)[..., 0]
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_v, self.discount
        )

    @torch.no_grad()
    def weights(self, batch: Batch, returns: Tensor) -> Tensor:
        """Return the clipped exponential of standardised advantages, (R, B)."""
        advantages = standardize(returns - self.values(batch.observations))
        return exponential_weights(
            advantages, self.inverse_temperature, self.settings.max_weight
        )

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on V, then on the policy, then the target."""
        returns = self.returns(batch)
        value_loss = mean_squared_error(self.values(batch.observations), returns)
        gradient_step(self.optimizers["value"], value_loss.sum(), self.spec.num_runs)
        metrics = self.update_actor(batch, self.weights(batch, returns))
        polyak_update(self.value, self.target_value, self.settings.polyak_step_size)
        return metrics | {"value/loss": value_loss.detach()}
