"""Behaviour cloning by maximum mean discrepancy, BEAR without its Q term (BC-MMD).

A tanh-Gaussian actor minimises the Laplacian-kernel MMD to samples of a CVAE fitted
jointly to the data. Both sides are compared before the hyperbolic tangent, as in BEAR.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, repeat_rows
from dql.agents.bc_cvae import BCCVAE
from dql.agents.settings import BCMMDSettings
from dql.core.batch import Batch
from dql.core.losses import maximum_mean_discrepancy, mean_per_run
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import GaussianActor


def raw_samples(actor: GaussianActor, observations: Tensor, noise: Tensor) -> Tensor:
    """Draw n actions per observation (R, B, O) from noise (R, B n, A), before tanh."""
    mean, log_std = actor(observations)
    count = noise.shape[1] // observations.shape[1]
    return repeat_rows(mean, count) + repeat_rows(log_std.exp(), count) * noise


class BCMMD(BCCVAE):
    """Fits CVAE and actor; acts by one sample of the actor."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BCMMDSettings]) -> None:
        super().__init__(spec, settings)
        actor = GaussianActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
        )
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        samples = batch_size * self.settings.num_mmd_samples
        return super().training_draws(batch_size) | {
            "behavior_samples": Draw((samples, self.latent_dim)),
            "actor_samples": Draw((samples, self.spec.action_dim)),
        }

    def raw_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return the actor's samples before the hyperbolic tangent, (R, B n, A).

        The noise (R, B n, A) holds n draws for each observation (R, B, O); the actor
        runs once per observation, not once per sample.
        """
        limit = self.settings.actor_noise_clip
        return raw_samples(self.actor, observations, noise.clamp(-limit, limit))

    def mmd(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the MMD per transition (R, B) and the actor's raw samples."""
        count = self.settings.num_mmd_samples
        observations = repeat_rows(batch.observations, count)
        with torch.no_grad():
            latents = self.behavior_policy.clip(noise["behavior_samples"])
            data = self.behavior_policy.decode_raw(observations, latents)
        raw = self.raw_actions(batch.observations, noise["actor_samples"])
        distance = maximum_mean_discrepancy(
            data.unflatten(1, (-1, count)),
            raw.unflatten(1, (-1, count)),
            self.settings.mmd_bandwidth,
        )
        return distance, raw

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the CVAE, then on the actor."""
        metrics = self.update_behavior_policy(batch, noise)
        distance, _ = self.mmd(batch, noise)
        loss = mean_per_run(distance)
        gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
        return metrics | {"actor/mmd": loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample of the tanh-Gaussian per observation."""
        return raw_samples(self.actor, observations, noise["noise"]).tanh()
