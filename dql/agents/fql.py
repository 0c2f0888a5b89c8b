"""Flow Q-learning (Park et al., 2025): Q guides a one-step policy beside a flow.

A flow clones the data, and a one-step policy mu(s, z) is distilled from it while it
climbs the critics, so that no gradient passes through the flow's integration:

L(theta) = flow matching + alpha E |mu(s, z) - flow(s, z)|^2 - E Q(s, mu(s, z))
L(phi_k) = E (r + gamma Q'(s', a') - Q_k(s, a))^2,  a' = mu(s', z')

with Q the critics' mean and Q' their mean or minimum (Algorithm 1).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise
from dql.agents.regularized_settings import FQLSettings
from dql.core.batch import Batch
from dql.core.losses import (
    mean_per_run,
    mean_squared_error,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import MLP, TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.diffusion.flow import FlowPolicy


class FQL(Agent):
    """A flow of the behaviour, a one-step policy and twin critics."""

    def __init__(self, spec: AgentSpec, settings: Sequence[FQLSettings]) -> None:
        super().__init__(spec, settings)
        sizes = {
            "hidden_dim": self.settings.hidden_dim,
            "num_hidden_layers": self.settings.num_hidden_layers,
            "activation": self.settings.activation,
        }
        dims = (spec.observation_dim, spec.action_dim, self.generators)
        steps = self.settings.num_flow_steps
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        inputs = spec.observation_dim + spec.action_dim
        behavior_policy = FlowPolicy(*dims, **sizes, num_flow_steps=steps)
        actor = MLP(
            [inputs, *hidden, spec.action_dim],
            self.generators,
            activation=self.settings.activation,
        )
        critic = TwinCritic(*dims, **sizes, layer_norm=self.settings.critic_layer_norm)
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        for name, rate in (
            ("behavior_policy", self.settings.learning_rate),
            ("actor", self.settings.learning_rate),
            ("critic", self.settings.critic_learning_rate),
        ):
            self.optimizers[name] = Adam(self.modules[name].parameters(), rate)
        self.discount = self.per_run("discount")
        self.distillation_coefficient = self.per_run("distillation_coefficient")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        shape = (batch_size, self.spec.action_dim)
        draws = {
            "flow_noise": Draw(shape),
            "flow_time": Draw((batch_size, 1), "uniform"),
            "actor_noise": Draw(shape),
        }
        if self.spec.bootstraps:
            draws["backup_noise"] = Draw(shape)
        return draws

    def one_step(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return mu(s, z), not yet clipped, (R, B, A)."""
        return self.actor(torch.cat([observations, noise], dim=-1))

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target at the one-step policy's next action, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            observations = batch.next_observations
            actions = self.one_step(observations, noise["backup_noise"]).clamp(-1, 1)
            q_values = self.target_critic(observations, actions)
            is_mean = self.settings.target_rule == "mean"
            next_q = q_values.mean(dim=1) if is_mean else q_values.amin(dim=1)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the temporal-difference loss of both critics, (R,)."""
        q_values = self.critic(batch.observations, batch.actions)
        return twin_critic_loss(q_values, self.target_q(batch, noise))

    def behavior_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the flow-matching loss on the dataset's actions, (R,)."""
        return self.behavior_policy.loss(
            batch.observations, batch.actions, noise["flow_time"], noise["flow_noise"]
        )

    def q_loss(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return minus the critics' mean at clipped actions, or its ratio, (R,)."""
        q_values = self.critic(observations, actions.clamp(-1, 1), frozen=True)
        q_values = q_values.mean(dim=1)
        q_loss = -mean_per_run(q_values)
        if self.settings.q_normalizer == "policy":
            q_loss = q_loss / mean_per_run(q_values.detach().abs())
        return q_loss

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return alpha times the distillation error minus the value, (R,)."""
        observations, start = batch.observations, noise["actor_noise"]
        with torch.no_grad():
            flow_actions = self.behavior_policy.sample(observations, start)
        actions = self.one_step(observations, start)
        distillation = mean_squared_error(actions, flow_actions)
        q_loss = self.q_loss(observations, actions)
        metrics = {
            "actor/distillation_loss": distillation.detach(),
            "actor/q_loss": q_loss.detach(),
        }
        return self.distillation_coefficient * distillation + q_loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on all three, from the same weights, then targets."""
        actor_loss, metrics = self.actor_loss(batch, noise)
        losses = {  # stepped in this order: the actor's loss goes through the critic
            "actor": actor_loss,
            "behavior_policy": self.behavior_loss(batch, noise),
            "critic": self.critic_loss(batch, noise),
        }
        for name, loss in losses.items():
            gradient_step(self.optimizers[name], loss.sum(), self.spec.num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return metrics | {
            "critic/loss": losses["critic"].detach(),
            "actor/bc_loss": losses["behavior_policy"].detach(),
        }

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample of the one-step policy per observation."""
        return self.one_step(observations, noise["noise"]).clamp(-1, 1)
