"""Behaviour cloning by maximum likelihood, a diagonal Gaussian per state (BC-MLE)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise
from dql.agents.settings import BCMLESettings
from dql.core.batch import Batch
from dql.core.losses import gaussian_log_likelihood, mean_per_run
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import GaussianActor


class BCMLE(Agent):
    """Maximises log pi(a | s); acts by one sample."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BCMLESettings]) -> None:
        super().__init__(spec, settings)
        actor = GaussianActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
        )
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return {}

    def bc_loss(self, batch: Batch) -> Tensor:
        """Return the negative log-likelihood of the dataset's actions, (R,)."""
        mean, log_std = self.actor(batch.observations)
        return -mean_per_run(gaussian_log_likelihood(batch.actions, mean, log_std))

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the likelihood."""
        bc_loss = self.bc_loss(batch)
        gradient_step(self.optimizers["actor"], bc_loss.sum(), self.spec.num_runs)
        return {"actor/bc_loss": bc_loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return mean + std x noise, clipped if the settings ask for it."""
        mean, log_std = self.actor(observations)
        actions = mean + log_std.exp() * noise["noise"]
        return actions.clamp(-1, 1) if self.settings.clip_actions else actions
