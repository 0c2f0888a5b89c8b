"""Conservative Q-learning, CQL(H) on soft actor-critic (Kumar et al., 2020).

L(phi_k) = E (y - Q_k(s, a))^2 + alpha (E log sum_a' exp Q_k(s, a') - E Q_k(s, a))
y = r + gamma min_j Q'_j(s', a'), a' ~ pi; without the entropy of pi (`backup_entropy`)
L(theta) = E temperature log pi(a^pi | s) - min_j Q_j(s, a^pi), entropy held at -A

The sum over actions is sampled (Appendix F): uniformly, from pi(. | s) and from
pi(. | s'), each weighted by its inverse density. The squared error has no factor of one
half, and the policy first clones the data (`cloning_steps`), both as released. With
`gap_threshold` tau, a multiplier found by dual ascent weighs alpha (...) - tau: the
Lagrange version.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.regularized_settings import CQLSettings
from dql.agents.squashed_actor_critic import (
    ClonesFirst,
    PolicySample,
    log_density,
    sample_policy,
)
from dql.core.batch import Batch
from dql.core.losses import conservative_gap, mean_per_run, twin_critic_loss
from dql.core.noise import Draw
from dql.core.optimization import gradient_step

MAX_MULTIPLIER = 1e6  # the released code's bound


class CQL(ClonesFirst):
    """Soft actor-critic whose critics are pushed down away from the data."""

    def __init__(self, spec: AgentSpec, settings: Sequence[CQLSettings]) -> None:
        super().__init__(spec, settings)
        self.conservative_coefficient = self.per_run("conservative_coefficient")
        self.temperature = self.add_multiplier(
            "temperature", self.settings.learning_rate
        )
        if self.settings.gap_threshold is not None:
            self.multiplier = self.add_multiplier(
                "multiplier", self.settings.critic_learning_rate
            )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        action_dim = self.spec.action_dim
        one, many = (
            (batch_size, action_dim),
            (batch_size * self.settings.num_sampled_actions, action_dim),
        )
        draws = {
            "action": Draw(one),
            "uniform_actions": Draw(many, "uniform"),
            "policy_actions": Draw(many),
        }
        if self.spec.bootstraps:
            draws |= {"next_policy_actions": Draw(many), "backup_action": Draw(one)}
        return draws

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return min_j Q'_j(s', a'), with the entropy if the settings ask, (R, B)."""
        observations = batch.next_observations
        sample = sample_policy(self.actor, observations, noise["backup_action"])
        value = self.target_critic(observations, sample.actions).amin(dim=1)
        if self.settings.backup_entropy:
            value = value - self.temperature.value.exp() * sample.log_density
        return value

    @torch.no_grad()
    def sampled_actions(self, batch: Batch, noise: Noise) -> PolicySample:
        """Return the actions of the sum, (R, B, S, A), and their densities (R, B, S).

        Where every transition ends its episode, s' is no state to act in.
        """
        uniform = 2 * noise["uniform_actions"] - 1
        density = torch.full_like(uniform[..., 0], 0.5).log() * self.spec.action_dim
        samples = [PolicySample(uniform, density)]
        places = [(batch.observations, "policy_actions")]
        if self.spec.bootstraps:
            places.append((batch.next_observations, "next_policy_actions"))
        for observations, name in places:
            samples.append(sample_policy(self.actor, observations, noise[name]))
        rows = (-1, self.settings.num_sampled_actions)
        return PolicySample(
            torch.cat([s.actions.unflatten(1, rows) for s in samples], dim=2),
            torch.cat([s.log_density.unflatten(1, rows) for s in samples], dim=2),
        )

    def gap(self, batch: Batch, noise: Noise, data_q: Tensor) -> Tensor:
        """Return how far the soft maximum of Q lies above the data's, (R, 2)."""
        actions, density = self.sampled_actions(batch, noise)
        count = actions.shape[2]
        q_values = self.critic(
            repeat_rows(batch.observations, count), actions.flatten(1, 2)
        )
        return conservative_gap(q_values.unflatten(2, (-1, count)), density, data_q)

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return temporal-difference loss plus conservative term, (R,)."""
        data_q = self.critic(batch.observations, batch.actions)
        td_loss = twin_critic_loss(data_q, self.target_q(batch, noise))
        gap = self.gap(batch, noise, data_q)
        penalty = self.conservative_coefficient[:, None] * gap
        if self.settings.gap_threshold is not None:
            excess = penalty - self.settings.gap_threshold
            self.update_multiplier(excess.detach())
            bounded = self.multiplier.value.detach().exp().clamp(max=MAX_MULTIPLIER)
            penalty = bounded * excess
        metrics = {
            "critic/td_loss": td_loss.detach(),
            "critic/gap": gap.detach().mean(dim=1),
            "critic/q_mean": data_q.detach().mean(dim=(1, 2)),
        }
        return td_loss + penalty.sum(dim=1), metrics

    def actor_loss(
        self, batch: Batch, sample: PolicySample, phase: str
    ) -> tuple[Tensor, Metrics]:
        """Return the actor's loss at its own sample of every state, (R,)."""
        likelihood = mean_per_run(
            log_density(*self.actor(batch.observations), batch.actions)
        )
        if phase == "clone":
            value = likelihood
        else:
            q_values = self.critic(batch.observations, sample.actions, frozen=True)
            value = mean_per_run(q_values.amin(dim=1))
        temperature = self.temperature.value[:, 0].detach().exp()
        loss = temperature * mean_per_run(sample.log_density) - value
        return loss, {
            "actor/bc_loss": -likelihood.detach(),
            "actor/entropy": -mean_per_run(sample.log_density.detach()),
            "actor/temperature": temperature,
        }

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one step on temperature, actor and critics, then on the targets."""
        sample = sample_policy(self.actor, batch.observations, noise["action"])
        self.update_temperature(
            "temperature", sample.log_density.detach(), -self.spec.action_dim
        )
        actor_loss, actor_metrics = self.actor_loss(batch, sample, phase)
        critic_loss, critic_metrics = self.critic_loss(batch, noise)
        metrics = self.step_actor_and_critic(actor_loss, critic_loss)
        return metrics | actor_metrics | critic_metrics

    def update_multiplier(self, excess: Tensor) -> None:
        """Raise the multiplier where the gap exceeds its threshold, lower it else."""
        bounded = self.multiplier.value.exp().clamp(max=MAX_MULTIPLIER)
        loss = -(bounded * excess).mean(dim=1).sum()
        gradient_step(self.optimizers["multiplier"], loss, self.spec.num_runs)
