"""Behavior Transformer (BeT; Shafiullah et al., 2022) for one observation at a time.

The dataset's actions fall into K bins around the centres of k-means. A network tells
the bins' probabilities p and, for every bin, an offset from its centre:

L = E -(1 - p_b)^gamma log p_b + alpha E |offset_b(s) - (a - centre_b)|^2,

b the bin of the dataset's action (the focal loss of Lin et al., 2017). It acts by a bin
drawn from p, at its centre plus its offset. The paper's network is a transformer over
the last observations; over a window of one there is nothing to attend to, and it is
here the multi-layer perceptron of the other clones. The centres are found in the first
steps, batch by batch, and stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise, choose_candidates
from dql.agents.generative_settings import BeTSettings
from dql.core.batch import Batch
from dql.core.discretization import ActionBins
from dql.core.losses import mean_per_run
from dql.core.networks import MLP
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.errors import UserError


class BeT(Agent):
    """Bins of the dataset's actions, their probabilities and offsets."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BeTSettings]) -> None:
        super().__init__(spec, settings)
        num_bins = self.settings.num_bins
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        outputs = num_bins * (1 + spec.action_dim)
        actor = MLP(
            [spec.observation_dim, *hidden, outputs],
            self.generators,
            activation=self.settings.activation,
        )
        bins = ActionBins(spec.num_runs, num_bins, spec.action_dim)
        self.bins = self.add_module("bins", bins)
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)

    def phase(self, step: int) -> str:
        """Tell whether this step, counted from 0, still moves the centres."""
        if step == 0:
            return "first"
        return "binning" if step < self.settings.num_binning_steps else "step"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        if batch_size < self.settings.num_bins:
            raise UserError(
                f"num_bins, {self.settings.num_bins}, is above batch_size,"
                f" {batch_size}: the centres begin on one batch's actions; set it lower"
            )
        return {}

    def predict(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bins' log probabilities (R, B, K) and offsets (R, B, K, A)."""
        num_bins, action_dim = self.settings.num_bins, self.spec.action_dim
        outputs = self.actor(observations)
        logits, offsets = outputs.split([num_bins, num_bins * action_dim], dim=2)
        return logits.log_softmax(dim=2), offsets.unflatten(2, (num_bins, action_dim))

    def bc_loss(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Return the focal loss of the bins plus the offsets' error, (R,)."""
        bins = self.bins.nearest(batch.actions)
        log_probabilities, offsets = self.predict(batch.observations)
        log_p = log_probabilities.gather(2, bins[..., None])[..., 0]
        focus = (1 - log_p.exp()) ** self.settings.focal_exponent
        bin_loss = mean_per_run(-focus * log_p)
        index = bins[..., None, None].expand(-1, -1, 1, self.spec.action_dim)
        errors = offsets.gather(2, index)[:, :, 0] - self.bins.offsets(
            batch.actions, bins
        )
        offset_loss = mean_per_run(errors.square())
        loss = bin_loss + self.settings.offset_coefficient * offset_loss
        return loss, {
            "actor/bc_loss": loss.detach(),
            "actor/bin_loss": bin_loss.detach(),
            "actor/offset_loss": offset_loss.detach(),
        }

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Move the centres, or leave them, and take one gradient step."""
        if phase == "first":
            self.bins.start(batch.actions)
        if phase != "step":
            self.bins.learn(batch.actions)
        loss, metrics = self.bc_loss(batch)
        gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
        return metrics

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"bin": Draw((num_episodes, self.settings.num_bins), "uniform")}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Draw a bin from its probabilities; return its centre plus its offset."""
        log_probabilities, offsets = self.predict(observations)
        actions = (self.bins.centers[:, None] + offsets).flatten(1, 2)
        scores, num_bins = log_probabilities.flatten(1, 2), self.settings.num_bins
        actions = choose_candidates(actions, scores, num_bins, noise["bin"])
        return actions.clamp(-1, 1)
