"""Fisher-BRC: a critic that is the behaviour's log density plus an offset.

Q_k(s, a) = O_k(s, a) + log b(a | s)                      (Kostrikov et al., 2021)
L(phi_k) = E (Q_k(s, a) - y)^2 + lambda E |grad_a O_k(s, a^pi)|^2
y = r + bonus + gamma min_j Q'_j(s', a'),  a' ~ pi
L(theta) = E temperature log pi(a^pi | s) - min_j Q_j(s, a^pi), entropy held at -A

The penalty on the offset's gradient stands for a Fisher divergence of exp(Q) from b
(Section 4.2). The clone b, for every action dimension a mixture of Gaussians behind
tanh, trains first with its entropy held at -A and then stays. Left out of the released
code: the fall of the clone's rate in its last steps, and orthogonal initial weights;
the temperature is stepped as a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.regularized_settings import FisherBRCSettings
from dql.agents.squashed_actor_critic import ClonesFirst, log_density
from dql.core.batch import Batch
from dql.core.input_gradients import input_gradient
from dql.core.losses import mean_per_run, squashed_log_likelihood, twin_critic_loss
from dql.core.networks import MLP
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update

LARGEST_RAW = math.atanh(1 - 1e-6)
"""Actions are clipped to 1 - 1e-6 before their density, as released."""


class FisherBRC(ClonesFirst):
    """A mixture clone, offsets of its log density, and a soft actor."""

    def __init__(self, spec: AgentSpec, settings: Sequence[FisherBRCSettings]) -> None:
        super().__init__(spec, settings)
        hidden = [self.settings.hidden_dim] * self.settings.behavior_num_hidden_layers
        outputs = 3 * spec.action_dim * self.settings.num_components
        behavior_policy = MLP(
            [spec.observation_dim, *hidden, outputs],
            self.generators,
            activation=self.settings.activation,
        )
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        rate = self.settings.behavior_learning_rate
        self.optimizers["behavior_policy"] = Adam(behavior_policy.parameters(), rate)
        self.behavior_temperature = self.add_multiplier("behavior_temperature", rate)
        self.temperature = self.add_multiplier(
            "temperature", self.settings.learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        action = Draw((batch_size, self.spec.action_dim))
        choice = (*action.shape, self.settings.num_components)
        draws = {
            "behavior_action": action,
            "behavior_component": Draw(choice, "uniform"),
            "action": action,
            "penalty_action": action,
        }
        return draws | ({"backup_action": action} if self.spec.bootstraps else {})

    def components(self, observations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mixtures' log weights, means and log deviations, (R, B, A, K)."""
        shape = (3, self.spec.action_dim, self.settings.num_components)
        outputs = self.behavior_policy(observations).unflatten(2, shape)
        logits, means, log_stds = outputs.unbind(dim=2)
        low, high = self.settings.log_std_min, self.settings.log_std_max
        return logits.log_softmax(dim=3), means, log_stds.clamp(low, high)

    def behavior_density(self, observations: Tensor, raw: Tensor) -> Tensor:
        """Return log b of tanh(raw), raw (R, B, A), (R, B)."""
        raw = raw.clamp(-LARGEST_RAW, LARGEST_RAW)[..., None, None]
        log_weights, means, log_stds = self.components(observations)
        parts = squashed_log_likelihood(raw, means[..., None], log_stds[..., None])
        return torch.logsumexp(log_weights + parts, dim=3).sum(dim=2)

    def behavior_sample(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return a sample of b before tanh, (R, B, A)."""
        log_weights, means, log_stds = self.components(observations)
        exponential = -torch.log(noise["behavior_component"].clamp(min=1e-20))
        scores = log_weights - torch.log(exponential.clamp(min=1e-20))
        chosen = scores.argmax(dim=3, keepdim=True)
        mean, log_std = (x.gather(3, chosen)[..., 0] for x in (means, log_stds))
        return mean + log_std.exp() * noise["behavior_action"]

    def policy_sample(
        self, observations: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a sample of pi before tanh (R, B, A) and its log density (R, B)."""
        mean, log_std = self.actor(observations)
        raw = mean + log_std.exp() * noise
        return raw, squashed_log_likelihood(raw, mean, log_std)

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return min_j Q'_j(s', a'), (R, B)."""
        observations = batch.next_observations
        raw, _ = self.policy_sample(observations, noise["backup_action"])
        offsets = self.target_critic(observations, raw.tanh()).amin(dim=1)
        return offsets + self.behavior_density(observations, raw)

    def offset_penalty(self, batch: Batch, noise: Noise) -> Tensor:
        """Return E |grad_a O_k|^2 at the policy's actions, of both critics, (R,)."""
        with torch.no_grad():
            raw, _ = self.policy_sample(batch.observations, noise["penalty_action"])
        inputs = torch.cat([batch.observations, raw.tanh()], dim=2)
        gradient = input_gradient(self.critic.mlp, inputs)
        squares = gradient[..., -self.spec.action_dim :].square().sum(dim=2)
        return squares.unflatten(0, (-1, 2)).mean(dim=2).sum(dim=1)

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the temporal-difference loss plus the offset's penalty, (R,)."""
        with torch.no_grad():
            raw = batch.actions.clamp(-1 + 1e-6, 1 - 1e-6).atanh()
            density = self.behavior_density(batch.observations, raw)
            target_q = self.target_q(batch, noise) + self.settings.reward_bonus
        q_values = self.critic(batch.observations, batch.actions) + density[:, None]
        td_loss = twin_critic_loss(q_values, target_q)
        penalty = self.offset_penalty(batch, noise)
        metrics = {
            "critic/td_loss": td_loss.detach(),
            "critic/penalty": penalty.detach(),
            "critic/q_mean": q_values.detach().mean(dim=(1, 2)),
        }
        return td_loss + self.settings.gradient_coefficient * penalty, metrics

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the actor's loss (R,) and its samples' log densities (R, B)."""
        raw, density = self.policy_sample(batch.observations, noise["action"])
        offsets = self.critic(batch.observations, raw.tanh(), frozen=True)
        value = offsets.amin(dim=1) + self.behavior_density(batch.observations, raw)
        temperature = self.temperature.value[:, 0].detach().exp()
        return temperature * mean_per_run(density) - mean_per_run(value), density

    def update_behavior(self, batch: Batch, noise: Noise) -> Metrics:
        """Take one gradient step on the clone and on its temperature."""
        observations = batch.observations
        raw = batch.actions.clamp(-1 + 1e-6, 1 - 1e-6).atanh()
        likelihood = mean_per_run(self.behavior_density(observations, raw))
        sampled = self.behavior_sample(observations, noise)
        density = self.behavior_density(observations, sampled)
        temperature = self.behavior_temperature.value[:, 0].detach().exp()
        loss = temperature * mean_per_run(density) - likelihood
        gradient_step(
            self.optimizers["behavior_policy"], loss.sum(), self.spec.num_runs
        )
        self.update_temperature(
            "behavior_temperature", density.detach(), -self.spec.action_dim
        )
        return {
            "behavior/loss": loss.detach(),
            "behavior/entropy": -mean_per_run(density.detach()),
        }

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Train the clone, or critics, then actor and temperature, then targets."""
        with torch.no_grad():
            outputs = self.actor(batch.observations)
            bc_loss = -mean_per_run(log_density(*outputs, batch.actions))
        if phase == "clone":
            return {"actor/bc_loss": bc_loss} | self.update_behavior(batch, noise)
        num_runs = self.spec.num_runs
        critic_loss, metrics = self.critic_loss(batch, noise)
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        actor_loss, density = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        self.update_temperature("temperature", density.detach(), -self.spec.action_dim)
        return metrics | {
            "actor/bc_loss": bc_loss,
            "actor/loss": actor_loss.detach(),
            "actor/entropy": -mean_per_run(density.detach()),
            "critic/loss": critic_loss.detach(),
        }
