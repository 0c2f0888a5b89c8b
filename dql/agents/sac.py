"""Soft actor-critic with a temperature found by dual ascent (Haarnoja et al., 2019).

L(phi_k) = E (y - Q_k(s, a))^2
y = r + gamma (min_j Q'_j(s', a') - temperature log pi(a' | s')),  a' ~ pi
L(theta) = E temperature log pi(a^pi | s) - min_j Q_j(s, a^pi),  a^pi ~ pi
L(temperature) = -E temperature (log pi(a^pi | s) + H)

Equations 5, 7 and 18 of the paper, with two critics as its Algorithm 1 has them. The
squared error has no factor of one half, which Adam does not see, and the temperature is
stepped as a logarithm, as in the released code. It was made to act while it learns; on
recorded data alone nothing keeps it near them. Normalised critics (Ball et al., 2023)
at least do not promise more the further an action lies from the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.regularized_settings import SoftActorCriticSettings
from dql.agents.squashed_actor_critic import (
    PolicySample,
    SquashedActorCritic,
    log_density,
    sample_policy,
    squash,
)
from dql.core.batch import Batch
from dql.core.losses import mean_per_run, twin_critic_loss
from dql.core.noise import Draw
from dql.core.policy_networks import GaussianActor


class SAC(SquashedActorCritic):
    """A stochastic actor that is paid for its entropy, and twin critics."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[SoftActorCriticSettings]
    ) -> None:
        super().__init__(spec, settings)
        self.log_temperature = self.add_multiplier(
            "temperature", self.settings.temperature_learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        one = Draw((batch_size, self.spec.action_dim))
        return {"action": one} | (
            {"backup_action": one} if self.spec.bootstraps else {}
        )

    @property
    def temperature(self) -> Tensor:
        """Return what an entropy of 1 is worth, (R,)."""
        return self.log_temperature.value[:, 0].detach().exp()

    @property
    def backup_actor(self) -> GaussianActor:
        """Return the policy that the target's next action is drawn from."""
        return self.actor

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return min_j Q'_j(s', a') - temperature log pi(a' | s'), (R, B)."""
        observations = batch.next_observations
        sample = sample_policy(self.backup_actor, observations, noise["backup_action"])
        value = self.target_critic(observations, sample.actions).amin(dim=1)
        return value - self.temperature[:, None] * sample.log_density

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the temporal-difference loss of both critics, (R,)."""
        q_values = self.critic(batch.observations, batch.actions)
        metrics = {"critic/q_mean": q_values.detach().mean(dim=(1, 2))}
        return twin_critic_loss(q_values, self.target_q(batch, noise)), metrics

    def actor_loss(self, batch: Batch, sample: PolicySample) -> Tensor:
        """Return the actor's loss at its own sample of every state, (R,)."""
        q_values = self.critic(batch.observations, sample.actions, frozen=True)
        value = mean_per_run(q_values.amin(dim=1))
        return self.temperature * mean_per_run(sample.log_density) - value

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on all three, from the same weights, then targets."""
        mean, log_std = self.actor(batch.observations)
        sample = squash(mean, log_std, noise["action"])
        likelihood = log_density(mean.detach(), log_std.detach(), batch.actions)
        critic_loss, metrics = self.critic_loss(batch, noise)
        metrics |= {
            "actor/bc_loss": -mean_per_run(likelihood),
            "actor/entropy": -mean_per_run(sample.log_density.detach()),
            "actor/temperature": self.temperature,
        }
        metrics |= self.step_actor_and_critic(
            self.actor_loss(batch, sample), critic_loss
        )
        target = self.settings.target_entropy_per_action * self.spec.action_dim
        self.update_temperature("temperature", sample.log_density.detach(), target)
        return metrics
