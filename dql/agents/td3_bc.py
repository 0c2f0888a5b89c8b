"""TD3+BC (Fujimoto and Gu, 2021): a deterministic actor with a squared-error term.

L(theta) = -lambda E Q_1(s, pi(s)) + E (pi(s) - a)^2, lambda = alpha / E|Q_1(s, pi(s))|.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise
from dql.agents.settings import TD3BCSettings
from dql.core.batch import Batch
from dql.core.losses import (
    mean_squared_error,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import MLP, TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class TD3BC(Agent):
    """Twin critics with smoothed targets; the actor moves every second step."""

    def __init__(self, spec: AgentSpec, settings: Sequence[TD3BCSettings]) -> None:
        super().__init__(spec, settings)
        common = {
            "generators": self.generators,
            "activation": self.settings.activation,
        }
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        actor = MLP([spec.observation_dim, *hidden, spec.action_dim], **common)
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            **common,
        )
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_actor = self.add_module("target_actor", copy.deepcopy(actor))
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")
        self.q_coefficient = self.per_run("q_coefficient")

    def phase(self, step: int) -> str:
        """Tell whether the actor and the targets move in this step, from 0."""
        return "actor" if (step + 1) % self.settings.actor_interval == 0 else "critic"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        if not self.spec.bootstraps:
            return {}
        return {"target_noise": Draw((batch_size, self.spec.action_dim))}

    def normalize(self, observations: Tensor) -> Tensor:
        """Standardise observations by the dataset's moments, if the settings ask."""
        if not self.settings.normalize_observations:
            return observations
        scale = self.spec.observation_std + 1e-3
        return (observations - self.spec.observation_mean) / scale

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target with target-policy smoothing, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            observations = self.normalize(batch.next_observations)
            limit = self.settings.target_noise_clip
            smoothing = (self.settings.target_noise * noise["target_noise"]).clamp(
                -limit, limit
            )
            actions = (self.target_actor(observations).tanh() + smoothing).clamp(-1, 1)
            next_q = self.target_critic(observations, actions).amin(dim=1)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Return the squared error minus the normalised value, (R,)."""
        observations = self.normalize(batch.observations)
        actions = self.actor(observations).tanh()
        bc_loss = mean_squared_error(actions, batch.actions)
        q_values = self.critic(observations, actions, frozen=True)[:, 0]
        q_loss = -q_values.mean(dim=1) / q_values.detach().abs().mean(dim=1)
        metrics = {"actor/bc_loss": bc_loss.detach(), "actor/q_loss": q_loss.detach()}
        return bc_loss + self.q_coefficient * q_loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics and, in turn, on the actor."""
        num_runs = self.spec.num_runs
        observations = self.normalize(batch.observations)
        critic_loss = twin_critic_loss(
            self.critic(observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        metrics = {"critic/loss": critic_loss.detach()}
        if phase == "actor":
            actor_loss, actor_metrics = self.actor_loss(batch)
            gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
            step_size = self.settings.polyak_step_size
            polyak_update(self.critic, self.target_critic, step_size)
            polyak_update(self.actor, self.target_actor, step_size)
            metrics |= actor_metrics
        return metrics

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the deterministic action of every observation."""
        return self.actor(self.normalize(observations)).tanh()
