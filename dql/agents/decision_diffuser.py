"""Decision Diffuser (Ajay et al., 2022, Section 4 and Algorithm 1).

A diffusion over the observations to come, whose network predicts the noise and is told
the return that follows; it is told nothing for a share of the rows. Plans are drawn by
epsilon = epsilon(nothing) + omega (epsilon(return) - epsilon(nothing)), and the action
is what leads from a plan's first observation to its second, by a network of inverse
dynamics.

As in the released code a plan is conditioned on the present observation alone, and
observations are normalised by their own distribution. Actions are taken as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dql.agents.agent import AgentSpec, Metrics, Noise
from dql.agents.planner import Planner
from dql.agents.sequence_settings import DecisionDiffuserSettings
from dql.core.losses import mean_squared_error
from dql.core.networks import MLP, Generators
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.quantiles import to_quantiles
from dql.core.windows import Windows, WindowSpec
from dql.diffusion.plans import with_first
from dql.diffusion.temporal_unet import TemporalUnet


class ReturnConditionedUnet(nn.Module):
    """epsilon(tau^i, R, i): a network over time that is told a return, or nothing."""

    def __init__(
        self, row_dim: int, generators: Generators, level_dims: list[int], steps: int
    ) -> None:
        super().__init__()
        dim = level_dims[0]
        dims = [1, dim, 4 * dim, dim]
        self.return_mlp = MLP(dims, generators, activation="mish")
        self.unet = TemporalUnet(
            row_dim,
            generators,
            level_dims=level_dims,
            num_steps=steps,
            condition_dim=dim,
        )

    def forward(
        self, plans: Tensor, steps: Tensor, returns: Tensor, is_told: Tensor
    ) -> Tensor:
        """Predict for (R, B, L, O), told returns (R, B) where `is_told` (R, B) is 1."""
        condition = self.return_mlp(returns[..., None]) * is_told[..., None]
        return self.unet(plans, steps, condition)


class DecisionDiffuser(Planner):
    """Plans of observations, guided by a return, and actions that follow them."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[DecisionDiffuserSettings]
    ) -> None:
        prediction = settings[0].prediction
        super().__init__(spec, settings, prediction=prediction, clips=True)
        self.row_dim = spec.observation_dim
        unet = ReturnConditionedUnet(
            self.row_dim,
            self.generators,
            self.settings.level_dims,
            self.settings.num_denoising_steps,
        )
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        dims = [2 * spec.observation_dim, *hidden, spec.action_dim]
        inverse = MLP(dims, self.generators, activation="relu")
        self.actor, self.target_actor = self.add_averaged("actor", unet)
        self.inverse, self.target_inverse = self.add_averaged("inverse", inverse)
        self.optimizers["actor"] = Adam(
            [*unet.parameters(), *inverse.parameters()], self.settings.learning_rate
        )
        self.tables = spec.episodes.observation_quantiles.to(spec.device)
        scale = spec.episodes.best_return.to(spec.device).abs().clamp(min=1e-6)
        if self.settings.return_scale is not None:
            scale = torch.full_like(scale, self.settings.return_scale)
        self.return_scale = scale[:, None]

    @classmethod
    def windows(cls, settings: DecisionDiffuserSettings) -> WindowSpec:
        spec = super().windows(settings)
        return replace(spec, num_quantiles=settings.num_quantiles)

    def normalize(self, observations: Tensor) -> Tensor:
        """Return observations (R, n, O) within [-1, 1]."""
        return to_quantiles(observations, self.tables)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return super().training_draws(batch_size) | {
            "told": Draw((batch_size,), "uniform")
        }

    def losses(self, batch: Windows, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the errors of the noise and of the actions between rows, (R,) each."""
        shape = batch.observations.shape[1:3]
        plans = self.normalize(batch.observations.flatten(1, 2)).unflatten(1, shape)
        steps, first = noise["step"], plans[:, :, 0]
        noisy = with_first(self.diffusion.noised(plans, steps, noise["noise"]), first)
        returns = batch.returns_to_go[:, :, 0] / self.return_scale
        is_told = (noise["told"] >= self.settings.condition_dropout).float()
        predicted = self.actor(noisy, steps, returns, is_told)
        is_noise = self.diffusion.prediction == "noise"
        target = noise["noise"] if is_noise else plans
        # The first row is given: nothing is to be predicted there.
        target = torch.cat([predicted[:, :, :1].detach(), target[:, :, 1:]], dim=2)
        pairs = torch.cat([plans[:, :, :-1], plans[:, :, 1:]], dim=-1).flatten(1, 2)
        actions = batch.actions[:, :, :-1].flatten(1, 2)
        return (
            mean_squared_error(predicted, target),
            mean_squared_error(self.inverse(pairs), actions),
        )

    def update(self, batch: Windows, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on half the sum of both losses, then move averages."""
        plan_loss, inverse_loss = self.losses(batch, noise)
        loss = (plan_loss + inverse_loss) / 2
        gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
        self.update_averages(phase)
        return {
            "actor/bc_loss": plan_loss.detach(),
            "actor/inverse_loss": inverse_loss.detach(),
        }

    def guided(self, plans: Tensor, steps: Tensor) -> Tensor:
        """Return the network's output by omega: towards the return, and beyond."""
        is_told = torch.cat([torch.zeros_like(steps), torch.ones_like(steps)], dim=1)
        returns = torch.full_like(
            is_told, self.settings.target_return, dtype=plans.dtype
        )
        both = self.target_actor(
            plans.repeat(1, 2, 1, 1), steps.repeat(1, 2), returns, is_told
        )
        free, conditioned = both.chunk(2, dim=1)
        return free + self.settings.guidance_weight * (conditioned - free)

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"plan": self.chain_draw(num_episodes)}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return what leads to the plan's second observation, (R, E, A)."""
        drawn = self.settings.temperature * noise["plan"]
        plans = self.diffusion.sample(self.normalize(observations), drawn, self.guided)
        pairs = torch.cat([plans[:, :, 0], plans[:, :, 1]], dim=-1)
        return self.target_inverse(pairs).clamp(-1, 1)
