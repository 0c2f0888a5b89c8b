"""Behaviour-regularised actor-critic with a KL divergence (Wu et al., 2019).

L(theta) = E alpha D(s) - min_j Q_j(s, a),  a ~ pi,  D(s) = KL(pi(. | s), b(. | s))
y = r + gamma (min_j Q'_j(s', a') - alpha D(s')),  a' ~ pi;  without D for BRAC-p
L(b) = E temperature log b(a^b | s) - log b(a | s),  a^b ~ b, entropy held at -A

D is the mean of log pi - log b over samples of pi (the primal estimate). The entropy
of the clone b is held as released: from data close to deterministic, likelihood alone
makes a clone so sharp that no policy comes near it. Two things differ from the
released code: the clone trains beside the policy for the whole run instead of before
it, and its temperature is stepped as a logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.regularized_settings import BRACSettings
from dql.agents.squashed_actor_critic import (
    ClonesFirst,
    PolicySample,
    log_density,
    sample_policy,
)
from dql.core.batch import Batch
from dql.core.losses import mean_per_run, twin_critic_loss
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step

LARGEST_ACTION = 1 - 1e-3
"""Actions are clipped to it before the clone's density, as released."""


class BRAC(ClonesFirst):
    """A clone of the behaviour, and an actor-critic that pays for leaving it."""

    # A clamp passes no gradient at its bounds, and half the deviations begin above 1.
    log_std_rule = "tanh"

    def __init__(self, spec: AgentSpec, settings: Sequence[BRACSettings]) -> None:
        super().__init__(spec, settings)
        behavior_policy = self.make_policy()
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.optimizers["behavior_policy"] = Adam(
            behavior_policy.parameters(), self.settings.behavior_learning_rate
        )
        self.behavior_temperature = self.add_multiplier(
            "behavior_temperature", self.settings.behavior_learning_rate
        )
        self.penalty_coefficient = self.per_run("penalty_coefficient")

    @property
    def critic_hidden_dim(self) -> int:
        return self.settings.critic_hidden_dim

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        action_dim = self.spec.action_dim
        one = Draw((batch_size, action_dim))
        many = Draw((batch_size * self.settings.num_divergence_samples, action_dim))
        draws = {
            "action": one,
            "divergence_actions": many,
            "behavior_action": one,
        }
        if self.spec.bootstraps:
            draws["backup_action"] = one
            if self.settings.penalty == "value":
                draws["backup_divergence_actions"] = many
        return draws

    def divergence(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return the sampled KL(pi, b) of (R, B, O), (R, B); it moves pi alone."""
        sample = sample_policy(self.actor, observations, noise)
        count = self.settings.num_divergence_samples
        with torch.no_grad():
            mean, log_std = self.behavior_policy(observations)
        behavior_density = log_density(
            repeat_rows(mean, count),
            repeat_rows(log_std, count),
            sample.actions,
            LARGEST_ACTION,
        )
        ratio = sample.log_density - behavior_density
        return ratio.unflatten(1, (-1, count)).mean(dim=2)

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return min_j Q'_j(s', a'), for BRAC-v minus alpha D(s'), (R, B)."""
        observations = batch.next_observations
        sample = sample_policy(self.actor, observations, noise["backup_action"])
        value = self.target_critic(observations, sample.actions).amin(dim=1)
        if self.settings.penalty == "value":
            drawn = noise["backup_divergence_actions"]
            penalty = self.divergence(observations, drawn)
            value = value - self.penalty_coefficient[:, None] * penalty
        return value

    def behavior_loss(self, batch: Batch, sample: PolicySample) -> Tensor:
        """Return the clone's loss, likelihood and entropy at its own sample, (R,)."""
        outputs = self.behavior_policy(batch.observations)
        likelihood = log_density(*outputs, batch.actions, LARGEST_ACTION)
        temperature = self.behavior_temperature.value[:, 0].detach().exp()
        return temperature * mean_per_run(sample.log_density) - mean_per_run(likelihood)

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the temporal-difference loss of both critics, (R,)."""
        q_values = self.critic(batch.observations, batch.actions)
        return twin_critic_loss(q_values, self.target_q(batch, noise))

    def actor_loss(
        self, batch: Batch, noise: Noise, phase: str
    ) -> tuple[Tensor, Metrics]:
        """Return alpha D minus the value; at first alpha D alone, (R,)."""
        observations = batch.observations
        divergence = mean_per_run(
            self.divergence(observations, noise["divergence_actions"])
        )
        loss = self.penalty_coefficient * divergence
        if phase != "clone":
            sample = sample_policy(self.actor, observations, noise["action"])
            q_values = self.critic(observations, sample.actions, frozen=True)
            loss = loss - mean_per_run(q_values.amin(dim=1))
        with torch.no_grad():
            likelihood = log_density(*self.actor(observations), batch.actions)
        return loss, {
            "actor/bc_loss": -mean_per_run(likelihood),
            "actor/divergence": divergence.detach(),
        }

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on all three, from the same weights, then targets."""
        actor_loss, metrics = self.actor_loss(batch, noise, phase)
        critic_loss = self.critic_loss(batch, noise)
        sample = sample_policy(
            self.behavior_policy, batch.observations, noise["behavior_action"]
        )
        behavior_loss = self.behavior_loss(batch, sample)
        gradient_step(
            self.optimizers["behavior_policy"], behavior_loss.sum(), self.spec.num_runs
        )
        densities = sample.log_density.detach()
        target = self.settings.target_entropy_per_action * self.spec.action_dim
        self.update_temperature("behavior_temperature", densities, target)
        metrics |= self.step_actor_and_critic(actor_loss, critic_loss)
        return metrics | {
            "behavior/loss": behavior_loss.detach(),
            "behavior/entropy": -mean_per_run(densities),
        }
