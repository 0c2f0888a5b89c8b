"""Mildly conservative Q-learning (MCQ; Lyu et al., 2022) on soft actor-critic.

L(phi_k) = lambda E (Q_k(s, a) - y)^2 + (1 - lambda) E max(Q_k(s, a^pi) - y', 0)^2
y' = min_j max_i Q_j(s, a^i),  a^1, ..., a^N from a CVAE of the behaviour
y = r + gamma (min_j Q'_j(s', a') - temperature log pi(a' | s')),  a' ~ pi
L(theta) = E temperature log pi(a^pi | s) - min_j Q_j(s, a^pi), entropy held at -A

An action of the policy may not be worth more than the best of what the data would do,
at s and at s' (Section 4.2); below that Q is left alone, as the released code does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.bc_cvae import BCCVAE
from dql.agents.regularized_settings import MCQSettings
from dql.agents.squashed_actor_critic import (
    PolicySample,
    SquashedActorCritic,
    sample_policy,
)
from dql.core.batch import Batch
from dql.core.losses import mean_per_run, twin_critic_loss
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class MCQ(SquashedActorCritic, BCCVAE):
    """Soft actor-critic whose Q may not rise above a CVAE's best sample."""

    def __init__(self, spec: AgentSpec, settings: Sequence[MCQSettings]) -> None:
        super().__init__(spec, settings)
        self.temperature = self.add_multiplier(
            "temperature", self.settings.learning_rate
        )

    def add_behavior_policy(self) -> None:
        super().add_behavior_policy()
        self.optimizers["behavior_policy"] = Adam(
            self.behavior_policy.parameters(), self.settings.behavior_learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        rows, action_dim = (
            batch_size * self.settings.num_sampled_actions,
            self.spec.action_dim,
        )
        actions, latents = Draw((rows, action_dim)), Draw((rows, self.latent_dim))
        draws = self.behavior_draws(batch_size) | {
            "action": Draw((batch_size, action_dim)),
            "policy_actions": actions,
            "prior": latents,
        }
        if self.spec.bootstraps:
            draws |= {
                "next_policy_actions": actions,
                "next_prior": latents,
                "backup_action": Draw((batch_size, action_dim)),
            }
        return draws

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return min_j Q'_j(s', a') plus the entropy's share, (R, B)."""
        observations = batch.next_observations
        sample = sample_policy(self.actor, observations, noise["backup_action"])
        value = self.target_critic(observations, sample.actions).amin(dim=1)
        return value - self.temperature.value.exp() * sample.log_density

    @torch.no_grad()
    def pseudo_target(self, observations: Tensor, prior: Tensor) -> Tensor:
        """Return y' of states (R, B, O), (R, B)."""
        count = self.settings.num_sampled_actions
        repeated = repeat_rows(observations, count)
        actions = self.behavior_policy.sample(repeated, prior)
        q_values = self.critic(repeated, actions).unflatten(2, (-1, count))
        return q_values.amax(dim=3).amin(dim=1)

    def excess(self, observations: Tensor, drawn: Tensor, prior: Tensor) -> Tensor:
        """Return max(Q_k - y', 0)^2 at the policy's actions, (R, 2, B N)."""
        count = self.settings.num_sampled_actions
        with torch.no_grad():
            actions = sample_policy(self.actor, observations, drawn).actions
        q_values = self.critic(repeat_rows(observations, count), actions)
        target = repeat_rows(self.pseudo_target(observations, prior), count)
        return (q_values - target[:, None]).relu().square()

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the weighted sum of both losses of both critics, (R,)."""
        data_q = self.critic(batch.observations, batch.actions)
        td_loss = twin_critic_loss(data_q, self.target_q(batch, noise))
        excess = [
            self.excess(batch.observations, noise["policy_actions"], noise["prior"])
        ]
        if self.spec.bootstraps:
            excess.append(
                self.excess(
                    batch.next_observations,
                    noise["next_policy_actions"],
                    noise["next_prior"],
                )
            )
        penalty = torch.cat(excess, dim=2).mean(dim=2).sum(dim=1)
        weight = self.settings.data_weight
        metrics = {
            "critic/td_loss": td_loss.detach(),
            "critic/excess": penalty.detach(),
            "critic/q_mean": data_q.detach().mean(dim=(1, 2)),
        }
        return weight * td_loss + (1 - weight) * penalty, metrics

    def actor_loss(self, batch: Batch, sample: PolicySample) -> Tensor:
        """Return the actor's loss at its own sample of every state, (R,)."""
        q_values = self.critic(batch.observations, sample.actions, frozen=True)
        temperature = self.temperature.value[:, 0].detach().exp()
        entropy_loss = temperature * mean_per_run(sample.log_density)
        return entropy_loss - mean_per_run(q_values.amin(dim=1))

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one step on CVAE, temperature, critics and actor, then on the targets.

        The actor climbs the critics behind their step, as released.
        """
        num_runs = self.spec.num_runs
        metrics = self.update_behavior_policy(batch, noise)
        sample = sample_policy(self.actor, batch.observations, noise["action"])
        densities = sample.log_density.detach()
        self.update_temperature("temperature", densities, -self.spec.action_dim)
        critic_loss, critic_metrics = self.critic_loss(batch, noise)
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        actor_loss = self.actor_loss(batch, sample)
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return (
            metrics
            | critic_metrics
            | {
                "critic/loss": critic_loss.detach(),
                "actor/loss": actor_loss.detach(),
                "actor/entropy": -mean_per_run(densities),
            }
        )
