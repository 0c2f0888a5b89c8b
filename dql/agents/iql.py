"""Implicit Q-learning (Kostrikov et al., 2021): no action outside the dataset is asked.

V(s) is an upper expectile of Q(s, a) over the dataset's actions (Section 4.2, eq. 5),
Q follows r + gamma V(s') (eq. 6), and the policy regresses on the dataset's actions
with weights exp(beta (Q - V)), at most 100 (Section 4.3, eq. 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_settings import IQLSettings
from dql.agents.advantage_weighted import AdvantageWeighted
from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.value_networks import ImplicitValues
from dql.core.batch import Batch
from dql.core.losses import exponential_weights


class IQL(ImplicitValues, AdvantageWeighted):
    """V by expectile regression, twin critics that follow V, weighted regression."""

    def __init__(self, spec: AgentSpec, settings: Sequence[IQLSettings]) -> None:
        super().__init__(spec, settings)
        self.add_implicit_values()

    @torch.no_grad()
    def weights(self, batch: Batch, q_values: Tensor) -> Tensor:
        """Return the clipped exp(beta (Q - V)), (R, B)."""
        advantages = q_values - self.values(batch.observations)
        return exponential_weights(
            advantages, self.inverse_temperature, self.settings.max_weight
        )

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on V, the policy and the critics, then targets."""
        q_values = self.data_q(batch)
        metrics = self.update_value(batch, q_values)
        metrics |= self.update_actor(batch, self.weights(batch, q_values))
        return metrics | self.update_critics(batch)
