"""Diffusion trusted Q-learning (DTQL; Chen, Wang and Zhou, 2024).

A diffusion model mu clones the behaviour by L_d. A one-step policy, a Gaussian squashed
by tanh, acts; its loss is

L(theta) = alpha L_TR(theta) - E min_k Q_k(s, a) - gamma E log pi(a_data | s)

with a from the policy and L_TR the diffusion loss of the frozen mu at a: smallest at
modes of the behaviour, it keeps a where the data are dense (Section 3). The likelihood
term serves AntMaze. Q and V are trained by implicit Q-learning.

Left out of the released code: continuous noise levels and their preconditioning (here
many denoising steps), layer normalisation in the critics, V and Q in one optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.bc_diffusion import denoising_draws, make_diffusion
from dql.agents.diffusion_settings import DTQLSettings
from dql.agents.value_networks import ImplicitValues
from dql.core.batch import Batch
from dql.core.losses import gaussian_log_likelihood, mean_per_run
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.policy_networks import GaussianActor

ACTION_SCALE = 1 + 1e-3
"""Actions are divided by it before the inverse of tanh, which has none at 1."""


class DTQL(ImplicitValues):
    """A diffusion clone, a one-step policy it holds back, twin critics and V."""

    def __init__(self, spec: AgentSpec, settings: Sequence[DTQLSettings]) -> None:
        super().__init__(spec, settings)
        behavior_policy = make_diffusion(self, self.settings.hidden_dim)
        actor = GaussianActor(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.actor_activation,
            log_std_range=(self.settings.log_std_min, self.settings.log_std_max),
        )
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.actor = self.add_module("actor", actor)
        for name in ("behavior_policy", "actor"):
            self.optimizers[name] = Adam(
                self.modules[name].parameters(), self.settings.learning_rate
            )
        self.add_implicit_values()
        self.discount = self.per_run("discount")
        self.trust_region_coefficient = self.per_run("trust_region_coefficient")
        self.likelihood_coefficient = self.per_run("likelihood_coefficient")
        self.is_likely = any(s.likelihood_coefficient != 0 for s in self.all_settings)

    def phase(self, step: int) -> str:
        """Tell whether this step, counted from 0, trains the policy, too."""
        is_early = step < self.settings.num_pretraining_steps
        return "pretraining" if is_early else "step"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        draws = denoising_draws(self, batch_size)
        trust = {f"trust_{name}": draw for name, draw in draws.items()}
        action = {"actor_noise": Draw((batch_size, self.spec.action_dim))}
        return draws | trust | action

    def policy_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return samples of the one-step policy, (R, B, A)."""
        mean, log_std = self.actor(observations)
        return (mean + log_std.exp() * noise).tanh()

    def trust_region_loss(self, batch: Batch, actions: Tensor, noise: Noise) -> Tensor:
        """Return the frozen clone's L_d at the policy's actions, (R,)."""
        steps, draws = noise["trust_denoising_step"], noise["trust_noise"]
        prediction = self.behavior_policy.predict(
            batch.observations, actions, steps, draws, frozen=True
        )
        return self.behavior_policy.prediction_loss(prediction, actions, draws)

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Return log pi of the dataset's actions before tanh, (R,), as released."""
        mean, log_std = self.actor(batch.observations)
        raw = (batch.actions / ACTION_SCALE).atanh()
        return mean_per_run(gaussian_log_likelihood(raw, mean, log_std))

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the policy's loss, (R,)."""
        actions = self.policy_actions(batch.observations, noise["actor_noise"])
        trust_loss = self.trust_region_loss(batch, actions, noise)
        q_values = self.critic(batch.observations, actions, frozen=True)
        q_loss = -mean_per_run(q_values.amin(dim=1))
        loss = self.trust_region_coefficient * trust_loss + q_loss
        if self.is_likely:
            loss = loss - self.likelihood_coefficient * self.log_likelihood(batch)
        metrics = {
            "actor/trust_region_loss": trust_loss.detach(),
            "actor/q_loss": q_loss.detach(),
        }
        return loss, metrics

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on V, the critics, the clone and the policy."""
        num_runs = self.spec.num_runs
        metrics = self.update_value(batch, self.data_q(batch))
        metrics |= self.update_critics(batch)
        bc_loss = self.behavior_policy.loss(
            batch.observations, batch.actions, noise["denoising_step"], noise["noise"]
        )
        gradient_step(self.optimizers["behavior_policy"], bc_loss.sum(), num_runs)
        metrics["actor/bc_loss"] = bc_loss.detach()
        if phase == "step":
            actor_loss, actor_metrics = self.actor_loss(batch, noise)
            gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
            metrics |= actor_metrics
        return metrics

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        candidates = self.settings.num_candidates
        return {
            "noise": Draw((num_episodes, candidates, self.spec.action_dim)),
            "choice": Draw((num_episodes, candidates), "uniform"),
        }

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Draw candidates from the policy and keep one by the target critics."""
        candidates = self.settings.num_candidates
        repeated = repeat_rows(observations, candidates)
        actions = self.policy_actions(repeated, noise["noise"].flatten(1, 2))
        if candidates == 1:
            return actions
        scores = self.target_critic(repeated, actions).amin(dim=1)
        is_random = self.settings.candidate_rule == "softmax"
        choice = noise["choice"] if is_random else None
        return choose_candidates(actions, scores, candidates, choice)
