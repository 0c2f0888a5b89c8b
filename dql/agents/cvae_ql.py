"""CVAE-QL: Diffusion-QL with a CVAE for its diffusion policy (paper, Table 2).

L(theta) = L_CVAE(theta) - eta E Q(s, a^pi) / E|Q|, a^pi = D(s, z), z from the clipped
prior. Critics, their targets and the Q term are those of Diffusion-QL; the CVAE is that
of BC-CVAE, here the policy itself. The authors' first release has it as agents/ql_cvae.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.bc_cvae import BCCVAE
from dql.agents.settings import CVAEQLSettings
from dql.core.batch import Batch
from dql.core.losses import (
    improvement_loss,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class CVAEQL(BCCVAE):
    """Twin critics, and a CVAE trained on its own loss and on the critics."""

    def __init__(self, spec: AgentSpec, settings: Sequence[CVAEQLSettings]) -> None:
        super().__init__(spec, settings)
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=3,
            activation="mish",
        )
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.target_behavior_policy = self.add_module(
            "target_behavior_policy", copy.deepcopy(self.behavior_policy)
        )
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")
        self.q_coefficient = self.per_run("q_coefficient")

    def phase(self, step: int) -> str:
        """Tell whether this step, counted from 0, ends with an update of the EMA."""
        started = step >= self.settings.actor_ema_start
        due = step % self.settings.actor_ema_interval == 0
        return "ema" if started and due else "step"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        draws = super().training_draws(batch_size)
        draws["actor_prior"] = Draw((batch_size, self.latent_dim))
        draws["critic_coin"] = Draw((), "uniform")
        if self.spec.bootstraps:
            rows = batch_size * self.num_backup_samples
            draws["backup_prior"] = Draw((rows, self.latent_dim))
        return draws

    @property
    def num_backup_samples(self) -> int:
        """Return how many next actions the target maximises over."""
        return self.settings.num_backup_samples if self.settings.max_q_backup else 1

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target from min_j max_a' Q'_j(s', a') over the samples, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            count = self.num_backup_samples
            observations = repeat_rows(batch.next_observations, count)
            actions = self.target_behavior_policy.sample(
                observations, noise["backup_prior"]
            )
            q_values = self.target_critic(observations, actions)
            next_q = q_values.unflatten(2, (-1, count)).amax(dim=3).amin(dim=1)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the CVAE's loss plus eta times the improvement term, (R,)."""
        bc_loss, metrics = self.behavior_loss(batch, noise)
        actions = self.behavior_policy.sample(batch.observations, noise["actor_prior"])
        q_values = self.critic(batch.observations, actions, frozen=True)
        q_loss = improvement_loss(
            q_values, self.q_normalizer(batch, q_values), noise["critic_coin"]
        )
        metrics["actor/q_loss"] = q_loss.detach()
        return bc_loss + self.q_coefficient * q_loss, metrics

    @torch.no_grad()
    def q_normalizer(self, batch: Batch, q_values: Tensor) -> Tensor:
        """Return the mean |Q| that divides each critic's term, (R, 2).

        `as_released`: the other critic at the policy's actions; `paper`: the critic
        itself at the dataset's actions (Section 3).
        """
        if self.settings.q_normalizer == "paper":
            return self.critic(batch.observations, batch.actions).abs().mean(dim=2)
        return q_values.abs().mean(dim=2).flip(1)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics, then on the CVAE, then targets."""
        num_runs = self.spec.num_runs
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        actor_loss, metrics = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["behavior_policy"], actor_loss.sum(), num_runs)
        if phase == "ema":
            step_size = 1 - self.settings.actor_ema_decay
            polyak_update(self.behavior_policy, self.target_behavior_policy, step_size)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return metrics | {"critic/loss": critic_loss.detach()}
