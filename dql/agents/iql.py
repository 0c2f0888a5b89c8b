"""Implicit Q-learning (Kostrikov et al., 2021): no action outside the dataset is asked.

V(s) is an upper expectile of Q(s, a) over the dataset's actions (Section 4.2, eq. 5),
Q follows r + gamma V(s') (eq. 6), and the policy regresses on the dataset's actions
with weights exp(beta (Q - V)), at most 100 (Section 4.3, eq. 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_weighted import AdvantageWeighted
from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.settings import IQLSettings
from dql.batch import Batch
from dql.losses import (
    expectile_loss,
    exponential_weights,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.updates import gradient_step, polyak_update


class IQL(AdvantageWeighted):
    """V by expectile regression, twin critics that follow V, weighted regression."""

    def __init__(self, spec: AgentSpec, settings: Sequence[IQLSettings]) -> None:
        super().__init__(spec, settings)
        self.add_twin_critics()
        self.add_value()
        self.expectile = self.per_run("expectile")

    @torch.no_grad()
    def data_q(self, batch: Batch) -> Tensor:
        """Return the smaller target critic at the dataset's actions, (R, B)."""
        return self.target_critic(batch.observations, batch.actions).amin(dim=1)

    @torch.no_grad()
    def weights(self, batch: Batch, q_values: Tensor) -> Tensor:
        """Return the clipped exp(beta (Q - V)), (R, B)."""
        advantages = q_values - self.values(batch.observations)
        return exponential_weights(
            advantages, self.inverse_temperature, self.settings.max_weight
        )

    @torch.no_grad()
    def target_q(self, batch: Batch) -> Tensor:
        """Return r + gamma V(s'), (R, B)."""
        next_v: Tensor | float = 0.0
        if self.spec.bootstraps:
            next_v = self.values(batch.next_observations)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_v, self.discount
        )

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on V, the policy and the critics, then targets."""
        num_runs = self.spec.num_runs
        q_values = self.data_q(batch)
        value_loss = expectile_loss(
            q_values - self.values(batch.observations), self.expectile
        )
        gradient_step(self.optimizers["value"], value_loss.sum(), num_runs)
        metrics = self.update_actor(batch, self.weights(batch, q_values))
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return metrics | {
            "value/loss": value_loss.detach(),
            "critic/loss": critic_loss.detach(),
        }
