"""Consistency-QL: Diffusion-QL with a consistency model (Ding and Jin, 2023).

L(theta) = E w |f(a + tau_n+1 z, tau_n+1) - f'(a + tau_n z, tau_n)|^2 - eta E Q / E|Q|

f' is the moving average of f, and both points have the same noise z, so that f learns
to give points of one path one image (consistency training, Song et al., 2023). The Q
term is taken at samples of a few steps, with its gradient through all of them; critics,
targets and the choice among candidates are those of Diffusion-QL. The paper calls the
method Consistency-AC. As released, the weight w is 1 or 100 / (tau_n+1 - tau_n), and
the targets of Q may be divided by their deviation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dql.agents.agent import Noise
from dql.agents.diffusion_ql import DiffusionQL
from dql.core.batch import Batch
from dql.core.losses import mean_per_run
from dql.core.noise import Draw
from dql.diffusion.consistency import ConsistencyPolicy, noise_level, num_levels

INTERVAL_SCALE = 100.0  # of the weight by the interval's width, as released


class ConsistencyQL(DiffusionQL):
    """Twin critics, and a consistency model trained on its loss and on the critics."""

    def make_actor(self) -> ConsistencyPolicy:
        return ConsistencyPolicy(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            time_embedding_dim=self.settings.time_embedding_dim,
            num_sampling_steps=self.settings.num_sampling_steps,
        )

    def cloning_draws(self, batch_size: int) -> dict[str, Draw]:
        return {
            "level": Draw((batch_size, 1), "uniform"),
            "noise": Draw((batch_size, self.spec.action_dim)),
        }

    def chain_draw(self, *rows: int) -> Draw:
        *episodes, count = rows
        num_steps = self.settings.num_sampling_steps
        return Draw((*episodes, num_steps, count, self.spec.action_dim))

    def policy_samples(
        self, actor: ConsistencyPolicy, observations: Tensor, noise: Tensor
    ) -> Tensor:
        return actor.sample(observations, noise)

    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return Diffusion-QL's target, divided by its deviation if asked, (R, B)."""
        target_q = super().target_q(batch, noise)
        if not self.settings.normalize_targets:
            return target_q
        return target_q / (target_q.std(dim=1, keepdim=True) + 1e-6)

    def neighbouring_levels(self, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return tau_n and tau_n+1 of every row, (R, B, 1), n uniform."""
        done = self.optimizers["actor"].count
        count = num_levels(done, self.settings.num_curriculum_steps)
        index = (noise["level"] * (count - 1)).floor()
        index = torch.minimum(index, count - 2)  # the product may round up
        return noise_level(index, count), noise_level(index + 1, count)

    def bc_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the weighted consistency loss, (R,)."""
        smaller, larger = self.neighbouring_levels(noise)
        states, actions, z = batch.observations, batch.actions, noise["noise"]
        with torch.no_grad():
            targets = self.target_actor.denoise(states, actions + smaller * z, smaller)
        images = self.actor.denoise(states, actions + larger * z, larger)
        errors = (images - targets).square()
        if self.settings.loss_weight == "interval":
            errors = INTERVAL_SCALE / (larger - smaller) * errors
        return mean_per_run(errors)

    def bc_loss_and_actions(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the consistency loss (R,) and the Q term's actions, (R, B, A)."""
        actions = self.actor.sample(batch.observations, noise["actor_chain"])
        return self.bc_loss(batch, noise), actions
