"""Behaviour cloning with a conditional VAE, as in BCQ (BC-CVAE, paper Table 2).

L = E |a - D(s, z)|^2 + c KL(q(z | s, a) || N(0, I)), z reparameterised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise
from dql.agents.settings import BCCVAESettings
from dql.core.batch import Batch
from dql.core.losses import cvae_loss
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import CVAE


class BCCVAE(Agent):
    """Fits the CVAE; acts by decoding a clipped draw from the prior."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BCCVAESettings]) -> None:
        super().__init__(spec, settings)
        self.add_behavior_policy()

    def add_behavior_policy(self) -> None:
        """Add the CVAE and its optimiser."""
        hidden_dim = getattr(
            self.settings, "behavior_hidden_dim", self.settings.hidden_dim
        )
        self.latent_dim = self.settings.latent_dim_per_action * self.spec.action_dim
        behavior_policy = CVAE(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            latent_dim=self.latent_dim,
            latent_clip=self.settings.latent_clip,
        )
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.optimizers["behavior_policy"] = Adam(
            behavior_policy.parameters(), self.settings.learning_rate
        )

    def behavior_draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the random inputs of the behaviour model's loss."""
        return {"posterior": Draw((batch_size, self.latent_dim))}

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return self.behavior_draws(batch_size)

    def behavior_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return reconstruction plus KL, (R,)."""
        observations, actions = batch.observations, batch.actions
        mean, std = self.behavior_policy.encode(observations, actions)
        latents = mean + std * noise["posterior"]
        decoded = self.behavior_policy.decode(observations, latents)
        reconstruction, kl = cvae_loss(
            actions, decoded, mean, std, self.settings.kl_coefficient
        )
        loss = reconstruction + kl
        return loss, {
            "actor/bc_loss": loss.detach(),
            "behavior/reconstruction_loss": reconstruction.detach(),
            "behavior/kl_loss": kl.detach(),
        }

    def update_behavior_policy(self, batch: Batch, noise: Noise) -> Metrics:
        """Take one gradient step on the behaviour model."""
        loss, metrics = self.behavior_loss(batch, noise)
        optimizer = self.optimizers["behavior_policy"]
        gradient_step(optimizer, loss.sum(), self.spec.num_runs)
        return metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the CVAE."""
        return self.update_behavior_policy(batch, noise)

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"prior": Draw((num_episodes, self.latent_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Decode one clipped prior sample per observation."""
        return self.behavior_policy.sample(observations, noise["prior"])
