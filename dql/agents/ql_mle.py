"""Gaussian policy with a likelihood and a Q term.

The released toy code draws this agent under the title "TD3+BC": a stochastic policy
with a log-likelihood instead of TD3+BC's deterministic actor with a squared error.
L(theta) = -log pi(a | s) - eta E Q(s, a^pi) / E|Q|, a^pi reparameterised.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.bc_mle import BCMLE
from dql.agents.settings import QLMLESettings
from dql.core.batch import Batch
from dql.core.losses import (
    improvement_loss,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class QLMLE(BCMLE):
    """Twin critics, and a Gaussian actor trained on likelihood and critics."""

    def __init__(self, spec: AgentSpec, settings: Sequence[QLMLESettings]) -> None:
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
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")
        self.q_coefficient = self.per_run("q_coefficient")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        shape = (batch_size, self.spec.action_dim)
        draws = {"action": Draw(shape), "critic_coin": Draw((), "uniform")}
        if self.spec.bootstraps:
            draws["next_action"] = Draw(shape)
        return draws

    def policy_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return reparameterised actions (R, B, A) within [-1, 1]."""
        mean, log_std = self.actor(observations)
        return (mean + log_std.exp() * noise).clamp(-1, 1)

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the temporal-difference loss of both critics, (R,)."""
        with torch.no_grad():
            next_q: Tensor | float = 0.0
            if self.spec.bootstraps:
                actions = self.policy_actions(
                    batch.next_observations, noise["next_action"]
                )
                next_q = self.target_critic(batch.next_observations, actions).amin(1)
            target_q = temporal_difference_target(
                batch.rewards, batch.terminations, next_q, self.discount
            )
        q_values = self.critic(batch.observations, batch.actions)
        return twin_critic_loss(q_values, target_q)

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the negative log-likelihood plus eta times the Q term, (R,)."""
        bc_loss = self.bc_loss(batch)
        actions = self.policy_actions(batch.observations, noise["action"])
        q_values = self.critic(batch.observations, actions, frozen=True)
        normalizer = q_values.abs().mean(dim=2).flip(1)
        q_loss = improvement_loss(q_values, normalizer, noise["critic_coin"])
        metrics = {"actor/bc_loss": bc_loss.detach(), "actor/q_loss": q_loss.detach()}
        return bc_loss + self.q_coefficient * q_loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics, then on the actor, then targets."""
        num_runs = self.spec.num_runs
        critic_loss = self.critic_loss(batch, noise)
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        actor_loss, metrics = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return {"critic/loss": critic_loss.detach()} | metrics

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample per observation, clipped to the action range."""
        return self.policy_actions(observations, noise["noise"])
