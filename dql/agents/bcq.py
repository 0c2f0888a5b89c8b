"""BCQ for continuous actions (Fujimoto et al., 2019).

A CVAE proposes actions, a perturbation model moves them by at most Phi, and the critic
chooses. `action_rule: behavior` acts by the CVAE alone: what the released toy code
draws under the title "BCQ".
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.bc_cvae import BCCVAE
from dql.agents.settings import BCQSettings
from dql.core.batch import Batch
from dql.core.losses import soft_minimum, temporal_difference_target, twin_critic_loss
from dql.core.networks import MLP, TwinCritic
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update


class BCQ(BCCVAE):
    """Behaviour model, perturbation model and twin critics with a soft minimum."""

    proposal = "prior"
    """Name of the noise behind the behaviour model's samples."""

    def __init__(self, spec: AgentSpec, settings: Sequence[BCQSettings]) -> None:
        super().__init__(spec, settings)
        common = {
            "generators": self.generators,
            "activation": self.settings.activation,
        }
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        inputs = spec.observation_dim + spec.action_dim
        actor = MLP([inputs, *hidden, spec.action_dim], **common)
        critic = TwinCritic(
            spec.observation_dim,
            spec.action_dim,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            **common,
        )
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_actor = self.add_module("target_actor", copy.deepcopy(actor))
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        draws = super().training_draws(batch_size)
        draws[f"actor_{self.proposal}"] = self.proposal_draw(batch_size)
        if self.spec.bootstraps:
            rows = batch_size * self.settings.num_backup_samples
            draws[f"backup_{self.proposal}"] = self.proposal_draw(rows)
        return draws

    def proposal_draw(self, num_rows: int) -> Draw:
        """Return the noise of as many samples of the behaviour model."""
        return Draw((num_rows, self.latent_dim))

    def perturb(self, actor: MLP, observations: Tensor, actions: Tensor) -> Tensor:
        """Move actions (R, B, A) by at most Phi, within [-1, 1]."""
        move = actor(torch.cat([observations, actions], dim=-1)).tanh()
        return (actions + self.settings.max_perturbation * move).clamp(-1, 1)

    @torch.no_grad()
    def target_q(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the target: the best of the sampled next actions, (R, B)."""
        next_q: Tensor | float = 0.0
        if self.spec.bootstraps:
            count = self.settings.num_backup_samples
            observations = repeat_rows(batch.next_observations, count)
            proposals = noise[f"backup_{self.proposal}"]
            actions = self.behavior_policy.sample(observations, proposals)
            actions = self.perturb(self.target_actor, observations, actions)
            q_values = self.target_critic(observations, actions)
            mixed = soft_minimum(q_values, self.settings.minimum_weight)
            next_q = mixed.unflatten(1, (-1, count)).amax(dim=2)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return minus the first critic at perturbed samples, (R,)."""
        proposals = noise[f"actor_{self.proposal}"]
        with torch.no_grad():
            sampled = self.behavior_policy.sample(batch.observations, proposals)
        actions = self.perturb(self.actor, batch.observations, sampled)
        return -self.critic(batch.observations, actions, frozen=True)[:, 0].mean(dim=1)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on behaviour, critics, perturbation, then targets."""
        num_runs = self.spec.num_runs
        metrics = self.update_behavior_policy(batch, noise)
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        actor_loss = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        step_size = self.settings.polyak_step_size
        polyak_update(self.critic, self.target_critic, step_size)
        polyak_update(self.actor, self.target_actor, step_size)
        return metrics | {
            "critic/loss": critic_loss.detach(),
            "actor/q_loss": actor_loss.detach(),
        }

    @property
    def num_candidates(self) -> int:
        """Return how many samples a decision chooses from."""
        is_greedy = self.settings.action_rule == "greedy"
        return self.settings.num_candidates if is_greedy else 1

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {"prior": Draw((num_episodes, self.num_candidates, self.latent_dim))}

    def candidate_noise(self, noise: Noise) -> Tensor:
        """Return the noise of all candidates, episode by episode."""
        return noise["prior"].flatten(1, 2)

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the candidate the first critic prefers, or a plain sample."""
        candidates = self.num_candidates
        repeated = repeat_rows(observations, candidates)
        actions = self.behavior_policy.sample(repeated, self.candidate_noise(noise))
        if self.settings.action_rule == "behavior":
            return actions
        actions = self.perturb(self.actor, repeated, actions)
        scores = self.critic(repeated, actions)[:, 0]
        return choose_candidates(actions, scores, candidates)
