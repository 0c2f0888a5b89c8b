"""Networks of Q and V that several agents share, and IQL's way of training them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from dql.agents.agent import Agent, Metrics
from dql.core.batch import Batch
from dql.core.losses import expectile_loss, temporal_difference_target, twin_critic_loss
from dql.core.networks import MLP, TwinCritic
from dql.core.optimization import Adam, gradient_step, polyak_update


class ValueNetworks(Agent):
    """Builds critics and V(s) from the settings; an agent adds their losses."""

    def add_twin_critics(self) -> None:
        """Add two Q networks, their target copies and their optimiser."""
        critic = TwinCritic(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.critic_num_hidden_layers,
            activation=self.settings.activation,
        )
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )

    def make_scalar_network(self, input_dim: int) -> MLP:
        """Return a network with one output, such as V(s)."""
        hidden = [self.settings.hidden_dim] * self.settings.critic_num_hidden_layers
        return MLP(
            [input_dim, *hidden, 1],
            self.generators,
            activation=self.settings.activation,
        )

    def add_value(self) -> None:
        """Add V(s) and its optimiser."""
        value = self.make_scalar_network(self.spec.observation_dim)
        self.value = self.add_module("value", value)
        self.optimizers["value"] = Adam(
            value.parameters(), self.settings.critic_learning_rate
        )

    def values(self, observations: Tensor) -> Tensor:
        """Return V(s) of (R, B, O), (R, B)."""
        return self.value(observations)[..., 0]


class ImplicitValues(ValueNetworks):
    """IQL's values: no action outside the dataset is asked, the policy does not enter.

    V(s) is an upper expectile of Q(s, a) over the dataset's actions (Kostrikov et al.,
    2021, eq. 5) and Q follows r + gamma V(s') (eq. 6).
    """

    def add_implicit_values(self) -> None:
        """Add both networks and the expectile."""
        self.add_twin_critics()
        self.add_value()
        self.expectile = self.per_run("expectile")

    @torch.no_grad()
    def data_q(self, batch: Batch) -> Tensor:
        """Return the smaller target critic at the dataset's actions, (R, B)."""
        return self.target_critic(batch.observations, batch.actions).amin(dim=1)

    @torch.no_grad()
    def target_q(self, batch: Batch) -> Tensor:
        """Return r + gamma V(s'), (R, B)."""
        next_v: Tensor | float = 0.0
        if self.spec.bootstraps:
            next_v = self.values(batch.next_observations)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_v, self.discount
        )

    def update_value(self, batch: Batch, q_values: Tensor) -> Metrics:
        """Take one gradient step on V towards the expectile of `data_q`."""
        loss = expectile_loss(
            q_values - self.values(batch.observations), self.expectile
        )
        gradient_step(self.optimizers["value"], loss.sum(), self.spec.num_runs)
        return {"value/loss": loss.detach()}

    def update_critics(self, batch: Batch) -> Metrics:
        """Take one gradient step on the critics, then move their targets."""
        loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch)
        )
        gradient_step(self.optimizers["critic"], loss.sum(), self.spec.num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return {"critic/loss": loss.detach()}
