"""TD3+BC-GM: TD3+BC with a Gaussian mixture for its policy (paper, appendix, Table 5).

L(theta) = -E log pi(a | s) - alpha E Q_1(s, a^pi) / E|Q_1(s, a^pi)|
E Q_1(s, a^pi) = sum_k w_k(s) E Q_1(s, mu_k(s) + sigma_k(s) xi), xi ~ N(0, I)

Drawing a component has no derivative. Here every component is sampled and its value
weighted by w_k, which makes the gradient real and unbiased for weights, means and
deviations alike. The authors' code (TD3_BC_G) draws the component and the action
without a derivative, so that its Q term never moves the policy: `q_gradient:
as_released`, a clone whatever the critics say.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.bc_mdn import BCMDN, sample_mixture
from dql.agents.settings import QLMDNSettings
from dql.core.batch import Batch
from dql.core.losses import (
    mean_per_run,
    mixture_improvement_loss,
    mixture_log_likelihood,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class QLMDN(BCMDN):
    """Twin critics, and a mixture actor trained on likelihood and the first critic."""

    def __init__(self, spec: AgentSpec, settings: Sequence[QLMDNSettings]) -> None:
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
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")
        self.q_coefficient = self.per_run("q_coefficient")

    def phase(self, step: int) -> str:
        """Tell whether the actor and the targets move in this step, from 0."""
        return "actor" if (step + 1) % self.settings.actor_interval == 0 else "critic"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        components, action_dim = self.settings.num_components, self.spec.action_dim
        draws = {"component_actions": Draw((batch_size, components, action_dim))}
        if self.spec.bootstraps:
            draws["next_component"] = Draw((batch_size, components), "uniform")
            draws["next_action"] = Draw((batch_size, action_dim))
        return draws

    def normalize(self, observations: Tensor) -> Tensor:
        """Standardise observations by the dataset's moments, if the settings ask."""
        if not self.settings.normalize_observations:
            return observations
        scale = self.spec.observation_std + 1e-3
        return (observations - self.spec.observation_mean) / scale

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target at one sample of the target actor, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            observations = batch.next_observations
            actions = sample_mixture(
                self.target_actor,
                observations,
                noise["next_component"],
                noise["next_action"],
            )
            next_q = self.target_critic(observations, actions).amin(dim=1)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the negative log-likelihood plus alpha times the Q term, (R,)."""
        mixture = self.actor(batch.observations)
        bc_loss = -mean_per_run(mixture_log_likelihood(batch.actions, *mixture))
        deviations = mixture.log_stds.exp() * noise["component_actions"]
        actions = (mixture.means + deviations).clamp(-1, 1)
        components = self.settings.num_components
        q_values = self.critic(
            repeat_rows(batch.observations, components),
            actions.flatten(1, 2),
            frozen=True,
        )
        q_values = q_values[:, 0].unflatten(1, (-1, components))
        q_loss = mixture_improvement_loss(q_values, mixture.log_weights.exp())
        if self.settings.q_gradient == "as_released":
            q_loss = q_loss.detach()
        metrics = {"actor/bc_loss": bc_loss.detach(), "actor/q_loss": q_loss.detach()}
        return bc_loss + self.q_coefficient * q_loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics and, in turn, on the actor."""
        num_runs = self.spec.num_runs
        batch = replace(
            batch,
            observations=self.normalize(batch.observations),
            next_observations=self.normalize(batch.next_observations),
        )
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        metrics = {"critic/loss": critic_loss.detach()}
        if phase == "actor":
            actor_loss, actor_metrics = self.actor_loss(batch, noise)
            gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
            step_size = self.settings.polyak_step_size
            polyak_update(self.critic, self.target_critic, step_size)
            polyak_update(self.actor, self.target_actor, step_size)
            metrics |= actor_metrics
        return metrics

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample per observation, clipped to the action range."""
        return super().sample_actions(self.normalize(observations), noise)
