"""What agents share that learn plans by diffusion and act by a plan's beginning."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from dql.agents.agent import Agent, AgentSpec
from dql.agents.sequence_settings import PlannerSettings
from dql.core.noise import Draw
from dql.core.optimization import polyak_update
from dql.core.windows import WindowSpec
from dql.diffusion.plans import PlanDiffusion


class Planner(Agent):
    """Networks with moving averages, which plan anew at every step (receding horizon).

    A plan begins with the observation; the rest is drawn. Plans reach behind an
    episode's end where it terminated, as rows of zeros.
    """

    row_dim: int

    def __init__(
        self,
        spec: AgentSpec,
        settings: Sequence[PlannerSettings],
        *,
        prediction: str,
        clips: bool,
    ) -> None:
        super().__init__(spec, settings)
        num_steps = self.settings.num_denoising_steps
        diffusion = PlanDiffusion(num_steps, prediction, clips=clips)
        self.diffusion = diffusion.to(spec.device)
        self.averaged: list[tuple[nn.Module, nn.Module]] = []

    @classmethod
    def windows(cls, settings: PlannerSettings) -> WindowSpec:
        return WindowSpec(
            settings.horizon,
            discount=settings.return_discount,
            termination_reward=settings.termination_reward,
            padded="terminated",
        )

    def add_averaged(self, name: str, module: nn.Module) -> tuple[nn.Module, nn.Module]:
        """Register a network and its moving average, which acts."""
        target = copy.deepcopy(module)
        pair = self.add_module(name, module), self.add_module(f"target_{name}", target)
        self.averaged.append(pair)
        return pair

    def phase(self, step: int) -> str:
        """Tell whether this step, counted from 0, ends with an update of averages."""
        started = step >= self.settings.actor_ema_start
        due = step % self.settings.actor_ema_interval == 0
        return "ema" if started and due else "step"

    def update_averages(self, phase: str) -> None:
        """Move the averages towards the networks where the phase says so."""
        if phase == "ema":
            for online, target in self.averaged:
                polyak_update(online, target, 1 - self.settings.actor_ema_decay)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        num_steps = self.settings.num_denoising_steps
        shape = (batch_size, self.settings.horizon, self.row_dim)
        return {
            "step": Draw((batch_size,), "integer", num_steps),
            "noise": Draw(shape),
        }

    def chain_draw(self, *plans: int) -> Draw:
        """Return the noise of the chains of as many plans."""
        settings = self.settings
        steps = settings.num_denoising_steps, settings.horizon
        return Draw((*plans, *steps, self.row_dim))


def standardized(values: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (R, B, ..., D) with mean and deviation (R, 1, D) of 0 and 1."""
    shape = (len(mean), *[1] * (values.ndim - 2), mean.shape[-1])
    return (values - mean.view(shape)) / (std.view(shape) + 1e-6)
