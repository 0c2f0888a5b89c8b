"""Advantage-weighted actor-critic (Nair et al., 2020, Section 4 and Algorithm 1).

Twin critics evaluate the policy itself, y = r + gamma min_j Q'_j(s', a') with a' ~ pi,
and the policy regresses on the dataset's actions with weights exp(A / lambda), where
A = Q(s, a) - Q(s, a^pi), a^pi ~ pi, Q the smaller critic. As in the released code the
weights are scaled to a mean of 1 in each batch, which the paper's text leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_settings import AWACSettings
from dql.agents.advantage_weighted import AdvantageWeighted
from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.core.batch import Batch
from dql.core.losses import (
    softmax_weights,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.noise import Draw
from dql.core.optimization import gradient_step, polyak_update


class AWAC(AdvantageWeighted):
    """Twin critics of the policy, and a weighted regression with weight decay."""

    def __init__(self, spec: AgentSpec, settings: Sequence[AWACSettings]) -> None:
        super().__init__(spec, settings)
        self.add_twin_critics()

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        shape = (batch_size, self.spec.action_dim)
        draws = {"action": Draw(shape)}
        if self.spec.bootstraps:
            draws["next_action"] = Draw(shape)
        return draws

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target at one next action of the policy, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            observations = batch.next_observations
            actions = self.policy_actions(observations, noise["next_action"])
            next_q = self.target_critic(observations, actions).amin(dim=1)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    @torch.no_grad()
    def weights(self, batch: Batch, noise: Noise) -> Tensor:
        """Return exp(A / lambda) with a mean of 1 in the batch, (R, B)."""
        actions = self.policy_actions(batch.observations, noise["action"])
        value = self.critic(batch.observations, actions).amin(dim=1)
        q_values = self.critic(batch.observations, batch.actions).amin(dim=1)
        return softmax_weights(q_values - value, self.inverse_temperature)

    def actor_loss(self, batch: Batch, weights: Tensor) -> tuple[Tensor, Metrics]:
        """Return the weighted regression plus the weight decay, (R,)."""
        loss, metrics = super().actor_loss(batch, weights)
        return loss + 0.5 * self.settings.weight_decay * self.squared_norm(), metrics

    def squared_norm(self) -> Tensor:
        """Return the sum of squares of each run's policy parameters, (R,)."""
        parameters = self.actor.parameters()
        squares = [p.square().flatten(1).sum(dim=1) for p in parameters]
        return torch.stack(squares).sum(dim=0)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics, then on the policy, then targets."""
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), self.spec.num_runs)
        metrics = self.update_actor(batch, self.weights(batch, noise))
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return metrics | {"critic/loss": critic_loss.detach()}
