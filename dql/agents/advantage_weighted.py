"""A Gaussian policy by advantage-weighted regression: what four agents share.

L(theta) = -E w(s, a) log pi(a | s) over the dataset's actions. IQL, AWAC, AWR and
Onestep RL differ in the value behind the advantage and in the weight w made of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_settings import AdvantageWeightedSettings
from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.value_networks import ValueNetworks
from dql.core.batch import Batch
from dql.core.losses import (
    gaussian_log_likelihood,
    mean_per_run,
    weighted_regression_loss,
)
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import BoundedGaussianActor


class AdvantageWeighted(ValueNetworks):
    """Holds the policy and its regression; an agent adds values and their losses."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[AdvantageWeightedSettings]
    ) -> None:
        super().__init__(spec, settings)
        actor = BoundedGaussianActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
            initial_log_std=self.settings.initial_log_std,
        )
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)
        self.discount = self.per_run("discount")
        self.inverse_temperature = self.per_run("inverse_temperature")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return {}

    def actor_loss(self, batch: Batch, weights: Tensor) -> tuple[Tensor, Metrics]:
        """Return the weighted regression on the dataset's actions, (R,)."""
        mean, log_std = self.actor(batch.observations)
        log_likelihood = gaussian_log_likelihood(batch.actions, mean, log_std)
        loss = weighted_regression_loss(log_likelihood, weights)
        return loss, {
            "actor/bc_loss": -mean_per_run(log_likelihood.detach()),
            "actor/weighted_loss": loss.detach(),
            "actor/mean_weight": mean_per_run(weights),
        }

    def update_actor(self, batch: Batch, weights: Tensor) -> Metrics:
        """Take one gradient step on the weighted regression."""
        loss, metrics = self.actor_loss(batch, weights)
        gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
        return metrics

    def policy_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return samples of the policy (R, B, A), clipped to [-1, 1]."""
        mean, log_std = self.actor(observations)
        return (mean + log_std.exp() * noise).clamp(-1, 1)

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        if self.settings.action_rule == "mean":
            return {}
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the policy's mean, or one sample if the settings ask for it."""
        if self.settings.action_rule == "mean":
            return self.actor(observations)[0]
        return self.explore(observations, noise)

    def exploration_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def explore(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample of the policy per observation."""
        return self.policy_actions(observations, noise["noise"])
