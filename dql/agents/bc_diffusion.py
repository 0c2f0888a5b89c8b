"""Behaviour cloning with a diffusion policy: L_d alone (paper, Section 3, eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise
from dql.agents.diffusion_settings import BCDiffusionSettings
from dql.core.batch import Batch
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.diffusion.noise_predictor import Prepared
from dql.diffusion.policy import Diffusion


class BCDiffusion(Agent):
    """Fits the denoising network to the dataset's actions; acts by one sample."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[BCDiffusionSettings]
    ) -> None:
        super().__init__(spec, settings)
        self.actor = self.add_module("actor", self.make_actor())
        clipped = self.settings.max_gradient_norm is not None
        self.max_gradient_norm = self.per_run("max_gradient_norm") if clipped else None
        self.optimizers["actor"] = Adam(
            self.actor.parameters(), self.settings.learning_rate
        )

    def make_actor(self) -> nn.Module:
        """Build the policy; its class is what a relative changes."""
        return make_diffusion(self, self.settings.hidden_dim)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return self.cloning_draws(batch_size)

    def cloning_draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the random inputs of the cloning loss."""
        return denoising_draws(self, batch_size)

    def bc_loss(
        self, batch: Batch, noise: Noise, prepared: Prepared | None = None
    ) -> Tensor:
        """Return L_d, (R,); what is `prepared` of the batch is not computed again."""
        return self.actor.loss(
            batch.observations if prepared is None else prepared,
            batch.actions,
            noise["denoising_step"],
            noise["noise"],
        )

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on L_d."""
        bc_loss = self.bc_loss(batch, noise)
        gradient_step(
            self.optimizers["actor"],
            bc_loss.sum(),
            self.spec.num_runs,
            self.max_gradient_norm,
        )
        return {"actor/bc_loss": bc_loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        num_steps = self.settings.num_denoising_steps
        return {"chain": Draw((num_episodes, num_steps, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample of the reverse chain per observation."""
        return self.actor.sample(observations, noise["chain"].transpose(1, 2))


def make_diffusion(agent: Agent, hidden_dim: int) -> Diffusion:
    """Build a diffusion policy from the agent's settings."""
    return Diffusion(
        agent.spec.observation_dim,
        agent.spec.action_dim,
        agent.generators,
        hidden_dim=hidden_dim,
        time_embedding_dim=agent.settings.time_embedding_dim,
        num_denoising_steps=agent.settings.num_denoising_steps,
        beta_schedule=agent.settings.beta_schedule,
        prediction=agent.settings.prediction,
    )


def denoising_draws(agent: Agent, batch_size: int) -> dict[str, Draw]:
    """Return the random inputs of L_d."""
    num_steps = agent.settings.num_denoising_steps
    return {
        "denoising_step": Draw((batch_size,), "integer", num_steps),
        "noise": Draw((batch_size, agent.spec.action_dim)),
    }
