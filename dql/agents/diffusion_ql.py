"""Diffusion-QL (paper, Algorithm 1): L_d plus a Q term through the whole chain.

L(theta) = L_d(theta) - eta E Q(s, a^0) / E|Q|,  a^0 from the reverse chain (eq. 3)
L(phi_k) = E (r + gamma min_j Q'_j(s', a'^0) - Q_k(s, a))^2,  a'^0 from pi_theta'

Where text and released code differ, the code is the default (it made the published
numbers) and the text an option: `q_normalizer`, `evaluation_actor`, `candidate_rule`.
The Q term's gradient may stop short of the whole chain (`num_backpropagated_steps`), as
in the released toy code's mode "last_few", which keeps 5 steps.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.bc_diffusion import BCDiffusion
from dql.agents.diffusion_settings import DiffusionQLSettings
from dql.core.batch import Batch
from dql.core.losses import (
    improvement_loss,
    temporal_difference_target,
    twin_critic_loss,
)
from dql.core.networks import TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.diffusion.policy import Diffusion


class DiffusionQL(BCDiffusion):
    """Twin critics, and a diffusion actor trained on L_d and on the critics."""

    chain = "chain"
    """Name of the noise behind the actor's samples."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[DiffusionQLSettings]
    ) -> None:
        super().__init__(spec, settings)
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=3,
            activation="mish",
        )
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.target_actor = self.add_module("target_actor", copy.deepcopy(self.actor))
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")
        self.q_coefficient = self.per_run("q_coefficient")
        self.is_guided = any(s.q_coefficient != 0 for s in self.all_settings)

    def phase(self, step: int) -> str:
        """Tell whether this step, counted from 0, ends with an update of the EMA."""
        started = step >= self.settings.actor_ema_start
        due = step % self.settings.actor_ema_interval == 0
        return "ema" if started and due else "step"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        draws = super().training_draws(batch_size)
        if self.spec.bootstraps:
            rows = batch_size * self.num_backup_samples
            draws[f"backup_{self.chain}"] = self.chain_draw(rows)
        if self.is_guided:
            draws["critic_coin"] = Draw((), "uniform")
            draws |= self.policy_draws(batch_size)
        return draws

    def chain_draw(self, *rows: int) -> Draw:
        """Return the noise of as many samples of the actor."""
        *episodes, count = rows
        num_steps = self.settings.num_denoising_steps
        return Draw((*episodes, num_steps, count, self.spec.action_dim))

    def policy_draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the noise of the actions in the Q term."""
        return {f"actor_{self.chain}": self.chain_draw(batch_size)}

    def policy_samples(
        self, actor: Diffusion, observations: Tensor, noise: Tensor
    ) -> Tensor:
        """Return one action per observation, (R, B, A)."""
        return actor.sample(observations, noise)

    @property
    def num_backup_samples(self) -> int:
        """Return how many next actions the target maximises over."""
        return self.settings.num_backup_samples if self.settings.max_q_backup else 1

    @torch.no_grad()
    def next_q(self, batch: Batch, noise: Noise) -> Tensor | float:
        """Return min_j max_a' Q'_j(s', a') over the backup samples, (R, B)."""
        if not self.spec.bootstraps:
            return 0.0
        observations = batch.next_observations
        if self.settings.max_q_backup:
            observations = repeat_rows(observations, self.num_backup_samples)
        actions = self.policy_samples(
            self.target_actor, observations, noise[f"backup_{self.chain}"]
        )
        q_values = self.target_critic(observations, actions)
        if self.settings.max_q_backup:
            samples = q_values.unflatten(2, (-1, self.num_backup_samples))
            q_values = samples.amax(dim=3)
        return q_values.amin(dim=1)

    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return r + gamma times the next value, (R, B)."""
        return temporal_difference_target(
            batch.rewards, batch.terminations, self.next_q(batch, noise), self.discount
        )

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return the temporal-difference loss of both critics, (R,)."""
        target_q = self.target_q(batch, noise)
        q_values = self.critic(batch.observations, batch.actions)
        loss = twin_critic_loss(q_values, target_q)
        metrics = {
            "critic/loss": loss.detach(),
            "critic/q_mean": q_values.detach().mean(dim=(1, 2)),
        }
        return loss, metrics

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return L_d plus eta times the improvement term, (R,)."""
        if not self.is_guided:
            bc_loss = self.bc_loss(batch, noise)
            return bc_loss, {"actor/bc_loss": bc_loss.detach()}
        bc_loss, actions = self.bc_loss_and_actions(batch, noise)
        q_values = self.critic(batch.observations, actions, frozen=True)
        q_loss = improvement_loss(
            q_values, self.q_normalizer(batch, q_values), noise["critic_coin"]
        )
        loss = bc_loss + self.q_coefficient * q_loss
        metrics = {
            "actor/bc_loss": bc_loss.detach(),
            "actor/q_loss": q_loss.detach(),
        }
        return loss, metrics

    def bc_loss_and_actions(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return L_d (R,) and the actions the Q term is taken at, (R, B, A)."""
        prepared = self.actor.predictor.prepare(batch.observations)
        actions = self.actor.sample(
            prepared, noise["actor_chain"], self.settings.num_backpropagated_steps
        )
        return self.bc_loss(batch, noise, prepared), actions

    @torch.no_grad()
    def q_normalizer(self, batch: Batch, q_values: Tensor) -> Tensor:
        """Return the mean |Q| that divides each critic's term, (R, 2).

        `as_released`: the other critic at the policy's actions; `paper`: the critic
        itself at the dataset's actions (Section 3).
        """
        if self.settings.q_normalizer == "paper":
            return self.critic(batch.observations, batch.actions).abs().mean(dim=2)
        return q_values.abs().mean(dim=2).flip(1)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the critics, then on the actor, then targets."""
        num_runs = self.spec.num_runs
        critic_loss, critic_metrics = self.critic_loss(batch, noise)
        gradient_step(
            self.optimizers["critic"],
            critic_loss.sum(),
            num_runs,
            self.max_gradient_norm,
        )
        actor_loss, actor_metrics = self.actor_loss(batch, noise)
        gradient_step(
            self.optimizers["actor"], actor_loss.sum(), num_runs, self.max_gradient_norm
        )
        if phase == "ema":
            step_size = 1 - self.settings.actor_ema_decay
            polyak_update(self.actor, self.target_actor, step_size)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return critic_metrics | actor_metrics

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        candidates = self.settings.num_candidates
        return {
            self.chain: self.chain_draw(num_episodes, candidates),
            "choice": Draw((num_episodes, candidates), "uniform"),
        }

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Draw candidates and keep one by the critics' minimum.

        `softmax` draws it with probability proportional to exp(min_j Q'_j), the rule of
        the released code (not in the paper's text).
        """
        candidates = self.settings.num_candidates
        repeated = repeat_rows(observations, candidates)
        is_ema = self.settings.evaluation_actor == "ema"
        actor = self.target_actor if is_ema else self.actor
        # From (R, E, ..., candidates, A) to (R, ..., E x candidates, A).
        draws = noise[self.chain].movedim(1, -3).flatten(-3, -2)
        actions = self.policy_samples(actor, repeated, draws)
        if candidates == 1:
            return actions
        is_random = self.settings.candidate_rule == "softmax"
        choice = noise["choice"] if is_random else None
        scores = self.scores(repeated, actions)
        return choose_candidates(actions, scores, candidates, choice)

    def scores(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the smaller target critic, (R, B)."""
        return self.target_critic(observations, actions).amin(dim=1)
