"""DOSER: which unseen actions to trust (Wang et al., 2026).

`data_models.py` tells which actions and states lie outside the data. With f a model of
the next state and b the best by Q of several samples of the behaviour, an action a of
the policy outside the data is good where f(s, a) is not outside and V(f(s, a)) is at
least V(f(s, b)); elsewhere it is bad.

L(phi) = sum_k E (Q_k(s, a) - y)^2 + beta E bad (Q_k(s, a^pi) - Q_min)^2
         + lambda E good (Q_k(s, a^pi) - eta (Q(s, b) + V(f(s, a^pi)) - V(f(s, b))))^2
y = r + gamma (min_j Q'_j(s', a') - temperature log pi'(a' | s')),  a' ~ pi'
L(psi) = sum_k E |tau - 1(u < 0)| u^2,  u = r + gamma min_j V'_j(s') - V_k(s)
L(theta) = E temperature log pi(a^pi | s) - min_j Q_j(s, a^pi), entropy held at -A

The second and third mean of L(phi) are over critics, too; Q and V are their minima.
States are standardised by the data's moments. What differs from the released code:
thresholds are means of batches' quantiles; denoisers see a batch in a step, not all
rows, and their first layer is one affine map, not two in a row. The fall of the
policy's rate along a cosine is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_rows, repeat_rows
from dql.agents.model_settings import DOSERSettings
from dql.agents.sac import SAC
from dql.agents.squashed_actor_critic import log_density, sample_policy
from dql.core.batch import Batch
from dql.core.losses import (
    expectile_loss,
    mean_per_run,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import TwinValue
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.core.policy_networks import GaussianActor
from dql.diffusion.data_models import DataModels


class DOSER(SAC):
    """Models of actions, states and dynamics; four critics, two V, a soft actor."""

    num_critics = 4

    def __init__(self, spec: AgentSpec, settings: Sequence[DOSERSettings]) -> None:
        super().__init__(spec, settings)
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        value = TwinValue([spec.observation_dim, *hidden], self.generators)
        models = DataModels(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            num_action_levels=self.settings.num_action_levels,
            num_state_levels=self.settings.num_state_levels,
        )
        self.value = self.add_module("value", value)
        self.target_value = self.add_module("target_value", copy.deepcopy(value))
        self.target_actor = self.add_module("target_actor", copy.deepcopy(self.actor))
        self.models = self.add_module("models", models)
        rate = self.settings.critic_learning_rate
        self.optimizers["value"] = Adam(value.parameters(), rate)
        rate = self.settings.model_learning_rate
        for name in ("actions", "states", "dynamics"):
            network = getattr(models, name)
            self.optimizers[name] = Adam(network.parameters(), rate)
        self.expectile = self.per_run("expectile")

    @property
    def actor_num_hidden_layers(self) -> int:
        return self.settings.actor_num_hidden_layers

    @property
    def backup_actor(self) -> GaussianActor:
        return self.target_actor

    def phase(self, step: int) -> str:
        """Name what a step, counted from 0, learns: models, thresholds, critics."""
        if step < self.settings.pretraining_steps:
            return "model"
        step -= self.settings.pretraining_steps
        if step < self.settings.survey_steps:
            return "survey"
        step -= self.settings.survey_steps
        return "actor" if (step + 1) % self.settings.policy_interval == 0 else "critic"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        action_dim, steps = self.spec.action_dim, self.settings.num_sampling_steps
        samples = batch_size * self.settings.num_action_samples
        draws = super().training_draws(batch_size)
        draws |= self.models.draws(batch_size, self.spec.observation_dim, action_dim)
        return draws | {
            "policy_action": Draw((batch_size, action_dim)),
            "sample_start": Draw((samples, action_dim)),
            "sample_level": Draw((steps,), "uniform"),
            "sample_noise": Draw((steps, samples, action_dim)),
        }

    def normalize(self, observations: Tensor) -> Tensor:
        """Standardise observations by the dataset's moments."""
        scale = self.spec.observation_std + 1e-3
        return (observations - self.spec.observation_mean) / scale

    def fit_models(self, batch: Batch, noise: Noise) -> Metrics:
        """Take one gradient step on both denoisers and on the dynamics."""
        losses = self.models.losses(batch, noise)
        for name, loss in losses.items():
            gradient_step(self.optimizers[name], loss.sum(), self.spec.num_runs)
        return {f"model/{name}_loss": loss.detach() for name, loss in losses.items()}

    def survey(self, batch: Batch, noise: Noise) -> Metrics:
        """Find how large errors are on the data."""
        quantile = self.settings.threshold_quantile
        self.models.survey(batch.observations, batch.actions, noise, quantile)
        return {
            "model/action_threshold": self.models.action_threshold[:, 0].clone(),
            "model/state_threshold": self.models.state_threshold[:, 0].clone(),
        }

    def best_of_behavior(self, states: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the sample b of the largest Q, (R, B, A), and Q(s, b), (R, B)."""
        count = self.settings.num_action_samples
        drawn = (noise[f"sample_{name}"] for name in ("start", "level", "noise"))
        actions = self.models.sample_actions(states, *drawn)
        q_values = self.critic(repeat_rows(states, count), actions).amin(dim=1)
        best, chosen = q_values.unflatten(1, (-1, count)).max(dim=2)
        return choose_rows(actions.unflatten(1, (-1, count)), chosen), best

    @torch.no_grad()
    def judge(
        self, states: Tensor, actions: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return which actions are bad, which good, and a good one's Q, (R, B) each."""
        best, best_q = self.best_of_behavior(states, noise)
        following, best_following = (
            self.models.next_states(states, x) for x in (actions, best)
        )
        value = self.value(following).amin(dim=1)
        best_value = self.value(best_following).amin(dim=1)
        found = self.models.are_outside(states, actions, following, noise)
        outside, leads_outside = found
        good = outside & ~leads_outside & (value >= best_value)
        gain = (value - best_value).clamp(min=0)
        return outside & ~good, good, self.settings.compensation_scale * (best_q + gain)

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the four critics' loss, selective terms included, (R,)."""
        states, settings = batch.observations, self.settings
        with torch.no_grad():
            actions = sample_policy(self.actor, states, noise["policy_action"]).actions
        bad, good, target = self.judge(states, actions, noise)
        data_q = self.critic(states, batch.actions)
        td_loss = twin_critic_loss(data_q, self.target_q(batch, noise))
        q_values = self.critic(states, actions)
        suppressed = bad[:, None] * (q_values - settings.smallest_q).square()
        compensated = good[:, None] * (q_values - target[:, None]).square()
        loss = td_loss + settings.suppression_coefficient * mean_per_run(suppressed)
        loss = loss + settings.compensation_coefficient * mean_per_run(compensated)
        return loss, {
            "critic/td_loss": td_loss.detach(),
            "critic/bad_share": mean_per_run(bad.to(loss.dtype)),
            "critic/good_share": mean_per_run(good.to(loss.dtype)),
            "critic/q_mean": data_q.detach().mean(dim=(1, 2)),
        }

    def value_loss(self, batch: Batch) -> Tensor:
        """Return the expectile loss of both V, (R,)."""
        with torch.no_grad():
            next_v = self.target_value(batch.next_observations).amin(dim=1)
            target = temporal_difference_target(
                batch.rewards, batch.terminations, next_v, self.discount
            )
        first, second = self.value(batch.observations).unbind(dim=1)
        loss = expectile_loss(target - first, self.expectile)
        return loss + expectile_loss(target - second, self.expectile)

    def update_policy(self, batch: Batch, drawn: Tensor, *, moves: bool) -> Metrics:
        """Step the temperature and, where it `moves`, the actor on its own samples."""
        sample = sample_policy(self.actor, batch.observations, drawn)
        densities = sample.log_density.detach()
        target = self.settings.target_entropy_per_action * self.spec.action_dim
        self.update_temperature("temperature", densities, target)
        metrics = {"actor/entropy": -mean_per_run(densities)}
        if moves:
            loss = self.actor_loss(batch, sample)
            gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
            metrics["actor/loss"] = loss.detach()
        return metrics

    def update_critics(self, batch: Batch, noise: Noise) -> Metrics:
        """Step the critics and both V."""
        critic_loss, metrics = self.critic_loss(batch, noise)
        value_loss = self.value_loss(batch)
        for name, loss in (("critic", critic_loss), ("value", value_loss)):
            gradient_step(self.optimizers[name], loss.sum(), self.spec.num_runs)
            metrics[f"{name}/loss"] = loss.detach()
        return metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Fit the models, find their thresholds, or step actor, critics and V."""
        states = self.normalize(batch.observations)
        following = self.normalize(batch.next_observations)
        batch = replace(batch, observations=states, next_observations=following)
        with torch.no_grad():
            likelihood = log_density(*self.actor(states), batch.actions)
        metrics = {"actor/bc_loss": -mean_per_run(likelihood)}
        if phase == "model":
            return metrics | self.fit_models(batch, noise)
        if phase == "survey":
            return metrics | self.survey(batch, noise)
        moves = phase == "actor"
        metrics |= self.update_policy(batch, noise["action"], moves=moves)
        metrics |= self.update_critics(batch, noise)
        if moves:
            for name in ("critic", "value", "actor"):
                target = self.modules[f"target_{name}"]
                step_size = self.settings.polyak_step_size
                polyak_update(self.modules[name], target, step_size)
        return metrics

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        if self.settings.action_rule == "mean":
            return self.actor(self.normalize(observations))[0].tanh()
        return self.explore(observations, noise)

    @torch.no_grad()
    def explore(self, observations: Tensor, noise: Noise) -> Tensor:
        return super().explore(self.normalize(observations), noise)
