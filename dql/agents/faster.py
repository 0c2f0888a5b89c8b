"""FASTER on IDQL (Dong et al., 2026): candidates are chosen before they are denoised.

IDQL draws candidates, denoises all and keeps the one that Q prefers. Here a critic of
noise W tells which start will end well, and one is denoised:

L(omega) = E (W(s, z*) - min_k Q'_k(s, g(s, z*)))^2,  z* = argmax_i W'(s, z_i)

z_1, ..., z_n are drawn from N(0, 1), g is the deterministic sampler of the clone's
moving average. This is the paper's single filtering step, at the level of noise, where
W needs no time. Clone, Q and V are IDQL's. The released sampler is DDIM; here it is
DPM-Solver++(2M) with as many calls of the network. Left out: layer normalisation in
the critics, and what IDQL leaves out of its clone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.diffusion_settings import FasterSettings
from dql.agents.idql import IDQL
from dql.core.batch import Batch
from dql.core.losses import mean_squared_error
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.diffusion.policy import Diffusion


class Faster(IDQL):
    """IDQL with a critic of the noise that a sample begins with."""

    def __init__(self, spec: AgentSpec, settings: Sequence[FasterSettings]) -> None:
        super().__init__(spec, settings)
        noise_critic = self.make_scalar_network(spec.observation_dim + spec.action_dim)
        self.noise_critic = self.add_module("noise_critic", noise_critic)
        self.target_noise_critic = self.add_module(
            "target_noise_critic", copy.deepcopy(noise_critic)
        )
        self.optimizers["noise_critic"] = Adam(
            noise_critic.parameters(), self.settings.critic_learning_rate
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        rows = batch_size * self.settings.num_training_candidates
        draws = super().training_draws(batch_size)
        return draws | {"filter_start": Draw((rows, self.spec.action_dim))}

    @torch.no_grad()
    def best_start(self, observations: Tensor, starts: Tensor) -> Tensor:
        """Return the start W' prefers of each state's (R, B n, A), (R, B, A)."""
        count = starts.shape[1] // observations.shape[1]
        inputs = torch.cat([repeat_rows(observations, count), starts], dim=2)
        scores = self.target_noise_critic(inputs)[..., 0]
        return choose_candidates(starts, scores, count)

    def denoise(self, actor: Diffusion, observations: Tensor, starts: Tensor) -> Tensor:
        """Return the deterministic sampler's actions, (R, B, A)."""
        return actor.solve(observations, starts, self.settings.num_denoising_steps)

    def filter_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the squared error of W at the start it would choose, (R,)."""
        observations = batch.observations
        starts = self.best_start(observations, noise["filter_start"])
        with torch.no_grad():
            actions = self.denoise(self.target_actor, observations, starts)
            q_values = self.target_critic(observations, actions).amin(dim=1)
        scores = self.noise_critic(torch.cat([observations, starts], dim=2))
        return mean_squared_error(scores[..., 0], q_values)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take IDQL's steps, then one on W, from the new critics, and its average."""
        metrics = super().update(batch, noise, phase)
        loss = self.filter_loss(batch, noise)
        gradient_step(self.optimizers["noise_critic"], loss.sum(), self.spec.num_runs)
        step_size = self.settings.polyak_step_size
        polyak_update(self.noise_critic, self.target_noise_critic, step_size)
        return metrics | {"critic/filter_loss": loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        candidates = self.settings.num_candidates
        return {"start": Draw((num_episodes, candidates, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Denoise the start W' prefers of several."""
        starts = self.best_start(observations, noise["start"].flatten(1, 2))
        is_average = self.settings.evaluation_actor == "ema"
        actor = self.target_actor if is_average else self.actor
        return self.denoise(actor, observations, starts)
