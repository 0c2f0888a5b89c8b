"""BEAR with an MMD constraint (Kumar et al., 2019).

The actor maximises the critics' minimum subject to MMD(actor, CVAE of the data) below a
threshold; the multiplier follows by dual gradient ascent on its logarithm.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.bc_mmd import BCMMD, raw_samples
from dql.agents.settings import BEARMMDSettings
from dql.core.batch import Batch
from dql.core.losses import (
    mean_per_run,
    soft_minimum,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import LogMultiplier, TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class BEARMMD(BCMMD):
    """CVAE, tanh-Gaussian actor, twin critics and a multiplier."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BEARMMDSettings]) -> None:
        super().__init__(spec, settings)
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
        )
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.target_actor = self.add_module("target_actor", copy.deepcopy(self.actor))
        self.log_multiplier = self.add_module(
            "log_multiplier", LogMultiplier(spec.num_runs)
        )
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.optimizers["multiplier"] = Adam(
            self.log_multiplier.parameters(), self.settings.multiplier_learning_rate
        )
        self.discount = self.per_run("discount")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        draws = super().training_draws(batch_size)
        if self.spec.bootstraps:
            rows = batch_size * self.settings.num_backup_samples
            draws["backup"] = Draw((rows, self.spec.action_dim))
        return draws

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target: the best of the actor's sampled next actions, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            count = self.settings.num_backup_samples
            observations = repeat_rows(batch.next_observations, count)
            actions = raw_samples(
                self.target_actor, batch.next_observations, noise["backup"]
            ).tanh()
            q_values = self.target_critic(observations, actions)
            mixed = soft_minimum(q_values, self.settings.minimum_weight)
            next_q = mixed.unflatten(1, (-1, count)).amax(dim=2)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """Return Lagrangian, the constraint's excess and -E min_j Q_j, (R,) each."""
        distance, raw = self.mmd(batch, noise)
        observations = repeat_rows(batch.observations, self.settings.num_mmd_samples)
        q_values = self.critic(observations, raw.tanh(), frozen=True).amin(dim=1)
        q_loss = -q_values.mean(dim=1)
        excess = mean_per_run(distance) - self.settings.mmd_threshold
        multiplier = self.log_multiplier.value[:, 0].detach().exp()
        return q_loss + multiplier * excess, excess, q_loss

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one step on CVAE, critics, actor and multiplier, then targets."""
        num_runs = self.spec.num_runs
        metrics = self.update_behavior_policy(batch, noise)
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        loss, excess, q_loss = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["actor"], loss.sum(), num_runs)
        self.update_multiplier(excess.detach())
        step_size = self.settings.polyak_step_size
        polyak_update(self.critic, self.target_critic, step_size)
        polyak_update(self.actor, self.target_actor, step_size)
        return metrics | {
            "critic/loss": critic_loss.detach(),
            "actor/q_loss": q_loss.detach(),
            "actor/mmd": excess.detach() + self.settings.mmd_threshold,
            "actor/log_multiplier": self.log_multiplier.value[:, 0].detach().clone(),
        }

    def update_multiplier(self, excess: Tensor) -> None:
        """Raise the multiplier where the constraint is violated, lower it elsewhere."""
        loss = -(self.log_multiplier.value[:, 0].exp() * excess).sum()
        gradient_step(self.optimizers["multiplier"], loss, self.spec.num_runs)
        with torch.no_grad():
            self.log_multiplier.value.clamp_(
                self.settings.log_multiplier_min, self.settings.log_multiplier_max
            )

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        candidates, action_dim = self.settings.num_candidates, self.spec.action_dim
        return {"noise": Draw((num_episodes, candidates, action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the sampled candidate the first critic prefers."""
        candidates = self.settings.num_candidates
        repeated = repeat_rows(observations, candidates)
        actions = super().sample_actions(
            observations, {"noise": noise["noise"].flatten(1, 2)}
        )
        scores = self.critic(repeated, actions)[:, 0]
        return choose_candidates(actions, scores, candidates)
