"""Behaviour cloning with a mixture density network (Bishop, 1994).

pi(a | s) = sum_k w_k(s) N(a; mu_k(s), diag sigma_k(s)^2), L = -E log pi(a | s).
The mixture without its Q term: the cloning half of the paper's ablation of TD3+BC with
a mixture policy (appendix).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise, choose_rows
from dql.agents.settings import BCMDNSettings
from dql.core.batch import Batch
from dql.core.losses import mean_per_run, mixture_log_likelihood
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import MixtureActor


class BCMDN(Agent):
    """Maximises the mixture's log-likelihood; acts by one sample."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BCMDNSettings]) -> None:
        super().__init__(spec, settings)
        actor = MixtureActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            num_components=self.settings.num_components,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
        )
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return {}

    def bc_loss(self, batch: Batch) -> Tensor:
        """Return the negative log-likelihood of the dataset's actions, (R,)."""
        mixture = self.actor(batch.observations)
        return -mean_per_run(mixture_log_likelihood(batch.actions, *mixture))

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the likelihood."""
        bc_loss = self.bc_loss(batch)
        gradient_step(self.optimizers["actor"], bc_loss.sum(), self.spec.num_runs)
        return {"actor/bc_loss": bc_loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {
            "component": Draw((num_episodes, self.settings.num_components), "uniform"),
            "noise": Draw((num_episodes, self.spec.action_dim)),
        }

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return one sample per observation, clipped to the action range."""
        return sample_mixture(
            self.actor, observations, noise["component"], noise["noise"]
        )


@torch.no_grad()
def sample_mixture(
    actor: MixtureActor, observations: Tensor, uniforms: Tensor, noise: Tensor
) -> Tensor:
    """Draw a component and an action from it, (R, B, A) within [-1, 1].

    Component k arrives after an exponential time of rate w_k, made from its uniform
    number (R, B, K); the first to arrive is drawn, k with probability w_k.
    """
    log_weights, means, log_stds = actor(observations)
    arrival_times = -uniforms.log() / log_weights.exp()
    chosen = arrival_times.argmin(dim=2)
    mean, log_std = choose_rows(means, chosen), choose_rows(log_stds, chosen)
    return (mean + log_std.exp() * noise).clamp(-1, 1)
