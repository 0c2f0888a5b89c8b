"""Fisher Decorator (FiDec; Wang et al., 2026): a flow's action, moved under its metric.

A flow clones the data; a map T moves its action b to b + T(s, b), up the critics:

L(theta) = flow matching + alpha E T' F(s) T / A - E Q(s, b + T(s, b))
F(s) = E score score' + damping,  divided by its mean diagonal
score = v(x^t, s, t) / (1 - t),  x^t = (1 - t) x^0 + t b',  at t = 0.95

F is the flow's Fisher information, so that a move along directions in which the data
are spread costs less than one across. The multiplier alpha is found by dual ascent: the
quadratic form is held at `target_divergence`. Critics are FQL's. Left out: the released
code clips the gradient of all its networks together at a norm of 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.fql import FQL
from dql.agents.generative_settings import FisherDecoratorSettings
from dql.core.batch import Batch
from dql.core.losses import mean_per_run
from dql.core.networks import LogMultiplier
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step

SMALLEST_TRACE = 1e-6


class FisherDecorator(FQL):
    """A flow of the behaviour, a map that moves its actions, and twin critics."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[FisherDecoratorSettings]
    ) -> None:
        super().__init__(spec, settings)
        multiplier = self.add_module("multiplier", LogMultiplier(spec.num_runs))
        with torch.no_grad():
            multiplier.value.copy_(self.distillation_coefficient.log()[:, None])
        self.multiplier = multiplier
        self.optimizers["multiplier"] = Adam(
            multiplier.parameters(), self.settings.learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        rows = batch_size * self.settings.num_fisher_samples
        samples = Draw((rows, self.spec.action_dim))
        draws = super().training_draws(batch_size)
        return draws | {"fisher_start": samples, "fisher_noise": samples}

    @torch.no_grad()
    def flow_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return the flow's actions, (R, B, A)."""
        return self.behavior_policy.sample(observations, noise)

    def move(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return T(s, b), (R, B, A)."""
        return self.actor(torch.cat([observations, actions], dim=-1))

    def one_step(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return b + T(s, b), not yet clipped, (R, B, A)."""
        actions = self.flow_actions(observations, noise)
        return actions + self.move(observations, actions)

    @torch.no_grad()
    def fisher_information(self, batch: Batch, noise: Noise) -> Tensor:
        """Return F of every state, its mean diagonal 1, (R, B, A, A)."""
        count, time = self.settings.num_fisher_samples, self.settings.fisher_time
        observations = repeat_rows(batch.observations, count)
        actions = self.flow_actions(observations, noise["fisher_start"])
        points = torch.lerp(noise["fisher_noise"], actions, time)
        times = torch.full_like(points[..., :1], time)
        velocity = self.behavior_policy.velocity(observations, points, times)
        scores = (velocity / (1 - time)).unflatten(1, (-1, count))
        fisher = scores.transpose(2, 3) @ scores / count
        diagonal = fisher.diagonal(dim1=2, dim2=3)
        diagonal += self.settings.fisher_damping
        scale = diagonal.mean(dim=2).clamp(min=SMALLEST_TRACE)
        return fisher / scale[..., None, None]

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return alpha times the quadratic form minus the value, (R,)."""
        observations = batch.observations
        base = self.flow_actions(observations, noise["actor_noise"])
        moves = self.move(observations, base)
        fisher = self.fisher_information(batch, noise)
        form = (moves[:, :, None] @ fisher @ moves[..., None])[..., 0, 0]
        divergence = mean_per_run(form) / self.spec.action_dim
        q_loss = self.q_loss(observations, base + moves)
        multiplier = self.multiplier.value[:, 0].detach().exp()
        metrics = {
            "actor/divergence": divergence.detach(),
            "actor/q_loss": q_loss.detach(),
            "actor/multiplier": multiplier,
        }
        return multiplier * divergence + q_loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take FQL's steps; raise the multiplier where the form is above its target."""
        metrics = super().update(batch, noise, phase)
        excess = metrics["actor/divergence"] - self.settings.target_divergence
        loss = -(self.multiplier.value[:, 0] * excess).sum()
        gradient_step(self.optimizers["multiplier"], loss, self.spec.num_runs)
        return metrics
