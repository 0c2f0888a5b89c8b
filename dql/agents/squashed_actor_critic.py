"""A tanh-Gaussian actor with its density, and twin critics: SAC, CQL, BRAC share it.

a = tanh(mu(s) + sigma(s) eps), the policy of soft actor-critic (Haarnoja et al., 2018).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.regularized_settings import SquashedActorCriticSettings
from dql.core.batch import Batch
from dql.core.losses import squashed_log_likelihood, temporal_difference_target
from dql.core.networks import LogMultiplier, TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.core.policy_networks import GaussianActor

LARGEST_ACTION = 1 - 1e-6
"""Actions are clipped to it before the inverse of tanh, as the released code does."""


class PolicySample(NamedTuple):
    """Actions of a policy and their log densities."""

    actions: Tensor  # (R, B, A) within [-1, 1]
    log_density: Tensor  # (R, B)


def sample_policy(
    policy: GaussianActor, observations: Tensor, noise: Tensor
) -> PolicySample:
    """Draw n actions per observation (R, B, O) from noise (R, B n, A)."""
    mean, log_std = policy(observations)
    count = noise.shape[1] // observations.shape[1]
    return squash(repeat_rows(mean, count), repeat_rows(log_std, count), noise)


def squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> PolicySample:
    """Draw an action of every Gaussian from noise, all (R, B, A)."""
    raw = mean + log_std.exp() * noise
    return PolicySample(raw.tanh(), squashed_log_likelihood(raw, mean, log_std))


def log_density(
    mean: Tensor, log_std: Tensor, actions: Tensor, largest: float = LARGEST_ACTION
) -> Tensor:
    """Return the log density of given actions (R, B, A), (R, B).

    `mean` and `log_std` are a policy's outputs; actions are clipped to +-`largest`.
    """
    raw = actions.clamp(-largest, largest).atanh()
    return squashed_log_likelihood(raw, mean, log_std)


class SquashedActorCritic(Agent):
    """Holds actor and critics; an agent adds its losses."""

    log_std_rule: Literal["clamp", "tanh"] = "clamp"
    """How a policy's deviations keep to their range."""
    num_critics = 2

    def __init__(
        self, spec: AgentSpec, settings: Sequence[SquashedActorCriticSettings]
    ) -> None:
        super().__init__(spec, settings)
        actor = self.make_policy()
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.critic_hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            layer_norm=self.settings.critic_layer_norm,
            members=self.num_critics,
        )
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")

    @property
    def critic_hidden_dim(self) -> int:
        """Return the width of the critics' layers."""
        return self.settings.hidden_dim

    @property
    def actor_num_hidden_layers(self) -> int:
        """Return the depth of a policy."""
        return self.settings.num_hidden_layers

    def make_policy(self) -> GaussianActor:
        """Build a Gaussian of the action before the hyperbolic tangent."""
        return GaussianActor(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.actor_num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
            log_std_rule=self.log_std_rule,
        )

    def add_multiplier(self, name: str, learning_rate: float) -> LogMultiplier:
        """Add a number per run that dual ascent finds, and its optimiser."""
        module = self.add_module(name, LogMultiplier(self.spec.num_runs))
        self.optimizers[name] = Adam(module.parameters(), learning_rate)
        return module

    def update_temperature(
        self, name: str, log_densities: Tensor, target_entropy: float
    ) -> None:
        """Raise a temperature where the entropy is below its target, or lower it.

        `log_densities` (R, B) are of a policy's own samples.
        """
        missing = target_entropy + log_densities.mean(dim=1)
        loss = -(self.modules[name].value[:, 0] * missing).sum()
        gradient_step(self.optimizers[name], loss, self.spec.num_runs)

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the value of the next state that the target discounts, (R, B)."""
        raise NotImplementedError

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return r + gamma times the next value, (R, B)."""
        bootstraps = self.spec.bootstraps
        next_q = self.next_value(batch, noise) if bootstraps else 0.0
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def step_actor_and_critic(self, actor_loss: Tensor, critic_loss: Tensor) -> Metrics:
        """Step both on losses (R,) of the same weights, then the target critics."""
        num_runs = self.spec.num_runs
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return {
            "actor/loss": actor_loss.detach(),
            "critic/loss": critic_loss.detach(),
        }

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        if self.settings.action_rule == "mean":
            return {}
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return tanh of the mean, or one sample if the settings ask for it."""
        if self.settings.action_rule == "mean":
            return self.actor(observations)[0].tanh()
        return self.explore(observations, noise)

    def exploration_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def explore(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample of the policy per observation."""
        return sample_policy(self.actor, observations, noise["noise"]).actions


class ClonesFirst(SquashedActorCritic):
    """One whose actor imitates the data for some steps before Q reaches it."""

    def phase(self, step: int) -> str:
        """Tell whether the actor still clones the data in this step, from 0."""
        return "clone" if step < self.settings.cloning_steps else "step"
