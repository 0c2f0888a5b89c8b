"""Onestep RL (Brandfonbrener et al., 2021, Section 4), exponentially weighted.

One critic evaluates the behaviour policy, and one improvement step regresses on the
dataset's actions with weights exp(tau (Q(s, a) - V(s))), at most 100; V(s) is the mean
of Q over samples of a clone of the behaviour. The policy never reaches Q. Two things
differ from the released code. A batch holds no next action, so that Q follows
r + gamma Q'(s', a') with a' drawn from the clone; a Gaussian clone puts some a' where
the data have none. And the three stages (clone, Q, policy) train side by side for the
whole run, which moves towards the same end and needs no length for each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.advantage_settings import OnestepSettings
from dql.agents.advantage_weighted import AdvantageWeighted
from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.core.batch import Batch
from dql.core.losses import (
    exponential_weights,
    gaussian_log_likelihood,
    mean_per_run,
    mean_squared_error,
    temporal_difference_target,
)
from dql.core.networks import MLP
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.core.policy_networks import GaussianActor


class Onestep(AdvantageWeighted):
    """A clone of the behaviour, its critic, and one weighted regression on it."""

    def __init__(self, spec: AgentSpec, settings: Sequence[OnestepSettings]) -> None:
        super().__init__(spec, settings)
        behavior_policy = GaussianActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
        )
        critic = self.make_scalar_network(spec.observation_dim + spec.action_dim)
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.optimizers["behavior_policy"] = Adam(
            behavior_policy.parameters(), self.settings.learning_rate
        )
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        action_dim = self.spec.action_dim
        rows = batch_size * self.settings.num_value_samples
        draws = {"value_action": Draw((rows, action_dim))}
        if self.spec.bootstraps:
            draws["next_action"] = Draw((batch_size, action_dim))
        return draws

    def behavior_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return samples of the clone (R, B, A), clipped to [-1, 1]."""
        mean, log_std = self.behavior_policy(observations)
        return (mean + log_std.exp() * noise).clamp(-1, 1)

    def q_values(self, critic: MLP, observations: Tensor, actions: Tensor) -> Tensor:
        """Return Q(s, a) of (R, B, O) and (R, B, A), (R, B)."""
        return critic(torch.cat([observations, actions], dim=-1))[..., 0]

    def behavior_loss(self, batch: Batch) -> Tensor:
        """Return the clone's negative log-likelihood, (R,)."""
        mean, log_std = self.behavior_policy(batch.observations)
        return -mean_per_run(gaussian_log_likelihood(batch.actions, mean, log_std))

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target at one next action of the clone, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            observations = batch.next_observations
            actions = self.behavior_actions(observations, noise["next_action"])
            next_q = self.q_values(self.target_critic, observations, actions)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    @torch.no_grad()
    def behavior_value(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the mean of Q over the clone's samples, (R, B)."""
        count = self.settings.num_value_samples
        repeated = repeat_rows(observations, count)
        actions = self.behavior_actions(repeated, noise["value_action"])
        q_values = self.q_values(self.critic, repeated, actions)
        return q_values.unflatten(1, (-1, count)).mean(dim=2)

    @torch.no_grad()
    def weights(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the clipped exp(tau (Q - V)), (R, B)."""
        q_values = self.q_values(self.critic, batch.observations, batch.actions)
        advantages = q_values - self.behavior_value(batch.observations, noise)
        return exponential_weights(
            advantages, self.inverse_temperature, self.settings.max_weight
        )

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on clone, critic and policy, then the target."""
        num_runs = self.spec.num_runs
        behavior_loss = self.behavior_loss(batch)
        gradient_step(self.optimizers["behavior_policy"], behavior_loss.sum(), num_runs)
        critic_loss = mean_squared_error(
            self.q_values(self.critic, batch.observations, batch.actions),
            self.target_q(batch, noise),
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        metrics = self.update_actor(batch, self.weights(batch, noise))
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return metrics | {
            "behavior/loss": behavior_loss.detach(),
            "critic/loss": critic_loss.detach(),
        }
