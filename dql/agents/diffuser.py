"""Diffuser (Janner et al., 2022, Section 3 and Algorithm 1).

A diffusion over plans tau = (a_t, s_t), ..., (a_(t+L-1), s_(t+L-1)) whose network
predicts the plan itself, and a network of the discounted return that follows a noised
plan. At each step of the chain a plan moves along the return's gradient,
tau + scale Sigma^i grad J(tau), then it is denoised. Of several plans the one of the
largest return gives its first action; at the next step all is planned anew.

Observations and actions are standardised, for the return's network too (the released
configuration scales that one's to [-1, 1], and lets it guide standardised plans).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.planner import Planner, standardized
from dql.agents.sequence_settings import DiffuserSettings
from dql.core.losses import mean_per_run, mean_squared_error
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.windows import Windows
from dql.diffusion.plans import with_first
from dql.diffusion.temporal_unet import TemporalUnet, TemporalValue


class Diffuser(Planner):
    """Plans of actions and observations, guided by the gradient of their return."""

    def __init__(self, spec: AgentSpec, settings: Sequence[DiffuserSettings]) -> None:
        super().__init__(spec, settings, prediction="plan", clips=False)
        self.row_dim = spec.action_dim + spec.observation_dim
        sizes = {
            "level_dims": self.settings.level_dims,
            "num_steps": self.settings.num_denoising_steps,
        }
        unet = TemporalUnet(self.row_dim, self.generators, **sizes)
        value = TemporalValue(
            self.row_dim, self.settings.horizon, self.generators, **sizes
        )
        self.actor, self.target_actor = self.add_averaged("actor", unet)
        self.value, self.target_value = self.add_averaged("value", value)
        for name, module in {"actor": unet, "value": value}.items():
            rate = self.settings.learning_rate
            self.optimizers[name] = Adam(module.parameters(), rate)
        shape = self.settings.horizon, self.row_dim
        self.loss_weights = torch.ones(shape, device=spec.device)
        self.loss_weights[0, : spec.action_dim] = self.settings.action_weight

    def plans(self, batch: Windows) -> Tensor:
        """Return rows of standardised (action, observation), (R, B, L, A + O)."""
        facts = self.spec.episodes
        actions = standardized(batch.actions, facts.action_mean, facts.action_std)
        return torch.cat([actions, self.normalize(batch.observations)], dim=-1)

    def normalize(self, observations: Tensor) -> Tensor:
        """Return standardised observations (R, B, ..., O)."""
        mean, std = self.spec.observation_mean, self.spec.observation_std
        return standardized(observations, mean, std)

    def losses(self, batch: Windows, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the weighted error of plans and the error of returns, (R,) each."""
        plans, steps = self.plans(batch), noise["step"]
        first = plans[:, :, 0, self.spec.action_dim :]
        noisy = with_first(self.diffusion.noised(plans, steps, noise["noise"]), first)
        predicted = with_first(self.actor(noisy, steps), first)
        errors = (predicted - plans).square() * self.loss_weights
        returns = batch.returns_to_go[:, :, 0] / self.settings.value_scale
        return mean_per_run(errors), mean_squared_error(
            self.value(noisy, steps), returns
        )

    def update(self, batch: Windows, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on plans and one on returns, then move averages."""
        bc_loss, value_loss = self.losses(batch, noise)
        for name, loss in {"actor": bc_loss, "value": value_loss}.items():
            gradient_step(self.optimizers[name], loss.sum(), self.spec.num_runs)
        self.update_averages(phase)
        return {
            "actor/bc_loss": bc_loss.detach(),
            "value/loss": value_loss.detach(),
        }

    def guided(self, plans: Tensor, index: int) -> Tensor:
        """Move plans along the gradient of their return, by the step's variance."""
        if index < self.settings.num_unguided_steps:
            return plans
        variance = self.diffusion.schedule.noise_scale[index] ** 2
        first = plans[:, :, 0, self.spec.action_dim :]
        steps = self.diffusion.steps_at(index, plans)
        for _ in range(self.settings.num_guide_steps):
            with torch.enable_grad():
                plans = plans.detach().requires_grad_()
                returns = self.target_value(plans, steps).sum()
            (gradient,) = torch.autograd.grad(returns, plans)
            moved = plans.detach() + self.settings.guide_scale * variance * gradient
            plans = with_first(moved, first)
        return plans

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"plan": self.chain_draw(num_episodes, self.settings.num_candidates)}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the first action of the plan of the largest return, (R, E, A)."""
        candidates, dim = self.settings.num_candidates, self.spec.action_dim
        repeated = repeat_rows(self.normalize(observations), candidates)
        plans = self.diffusion.sample(
            repeated, noise["plan"].flatten(1, 2), self.target_actor, self.guided
        )
        scores = self.target_value(plans, self.diffusion.steps_at(0, plans))
        facts = self.spec.episodes
        actions = plans[:, :, 0, :dim] * facts.action_std + facts.action_mean
        return choose_candidates(actions, scores, candidates).clamp(-1, 1)
