"""BCQ (Fujimoto et al., 2019) with a diffusion model for its CVAE (paper, Table 2).

The diffusion model, trained on L_d alone (eq. 2), proposes actions, a perturbation
model moves them by at most Phi, and the critic chooses. Everything but the behaviour
policy is as in `bcq`. The authors published no code of this row.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import Agent, AgentSpec, Metrics, Noise, choose_rows, repeat_rows
from dql.agents.settings import BCQDiffusionSettings
from dql.batch import Batch
from dql.diffusion import Diffusion
from dql.losses import soft_minimum, temporal_difference_target, twin_critic_loss
from dql.networks import MLP, TwinCritic
from dql.noise import Draw
from dql.updates import gradient_step, make_adam, polyak_update


class BCQDiffusion(Agent):
    """Diffusion model, perturbation model and twin critics with a soft minimum."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[BCQDiffusionSettings]
    ) -> None:
        super().__init__(spec, settings)
        self.behavior_policy = self.add_module("behavior_policy", self.make_diffusion())
        actor, critic = self.make_actor(), self.make_critic()
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_actor = self.add_module("target_actor", copy.deepcopy(actor))
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        rates = {
            "behavior_policy": self.settings.behavior_learning_rate,
            "actor": self.settings.learning_rate,
            "critic": self.settings.critic_learning_rate,
        }
        for name, rate in rates.items():
            self.optimizers[name] = make_adam(self.modules[name].parameters(), rate)
        self.discount = self.per_run("discount")

    def make_diffusion(self) -> Diffusion:
        """Build the behaviour policy from the settings."""
        return Diffusion(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.behavior_hidden_dim,
            time_embedding_dim=self.settings.time_embedding_dim,
            num_denoising_steps=self.settings.num_denoising_steps,
            beta_schedule=self.settings.beta_schedule,
            prediction=self.settings.prediction,
        )

    def make_actor(self) -> MLP:
        """Build the perturbation model from the settings."""
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        inputs = self.spec.observation_dim + self.spec.action_dim
        return MLP(
            [inputs, *hidden, self.spec.action_dim],
            self.generators,
            activation=self.settings.activation,
        )

    def make_critic(self) -> TwinCritic:
        """Build the critics from the settings."""
        return TwinCritic(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
        )

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        num_steps, action_dim = self.settings.num_denoising_steps, self.spec.action_dim
        draws = {
            "denoising_step": Draw((batch_size,), "integer", num_steps),
            "noise": Draw((batch_size, action_dim)),
            "actor_chain": Draw((num_steps, batch_size, action_dim)),
        }
        if self.spec.bootstraps:
            rows = batch_size * self.settings.num_backup_samples
            draws["backup_chain"] = Draw((num_steps, rows, action_dim))
        return draws

    def behavior_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return L_d, (R,)."""
        return self.behavior_policy.loss(
            batch.observations, batch.actions, noise["denoising_step"], noise["noise"]
        )

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
            actions = self.behavior_policy.sample(observations, noise["backup_chain"])
            actions = self.perturb(self.target_actor, observations, actions)
            q_values = self.target_critic(observations, actions)
            mixed = soft_minimum(q_values, self.settings.minimum_weight)
            next_q = mixed.unflatten(1, (-1, count)).amax(dim=2)
        return temporal_difference_target(
            batch.rewards, batch.terminations, next_q, self.discount
        )

    def actor_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return minus the first critic at perturbed samples of the chain, (R,)."""
        with torch.no_grad():
            sampled = self.behavior_policy.sample(
                batch.observations, noise["actor_chain"]
            )
        actions = self.perturb(self.actor, batch.observations, sampled)
        return -self.critic(batch.observations, actions, frozen=True)[:, 0].mean(dim=1)

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one step on diffusion, critics and perturbation, then targets."""
        num_runs = self.spec.num_runs
        bc_loss = self.behavior_loss(batch, noise)
        gradient_step(self.optimizers["behavior_policy"], bc_loss.sum(), num_runs)
        critic_loss = twin_critic_loss(
            self.critic(batch.observations, batch.actions), self.target_q(batch, noise)
        )
        gradient_step(self.optimizers["critic"], critic_loss.sum(), num_runs)
        actor_loss = self.actor_loss(batch, noise)
        gradient_step(self.optimizers["actor"], actor_loss.sum(), num_runs)
        step_size = self.settings.polyak_step_size
        polyak_update(self.critic, self.target_critic, step_size)
        polyak_update(self.actor, self.target_actor, step_size)
        return {
            "actor/bc_loss": bc_loss.detach(),
            "critic/loss": critic_loss.detach(),
            "actor/q_loss": actor_loss.detach(),
        }

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        num_steps, action_dim = self.settings.num_denoising_steps, self.spec.action_dim
        is_greedy = self.settings.action_rule == "greedy"
        candidates = self.settings.num_candidates if is_greedy else 1
        return {"chain": Draw((num_episodes, num_steps, candidates, action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the candidate the first critic prefers, or a plain chain's sample."""
        chain = noise["chain"].transpose(1, 2)
        num_episodes, candidates = chain.shape[2:4]
        repeated = repeat_rows(observations, candidates)
        actions = self.behavior_policy.sample(repeated, chain.flatten(2, 3))
        if self.settings.action_rule == "behavior":
            return actions
        actions = self.perturb(self.actor, repeated, actions)
        scores = self.critic(repeated, actions)[:, 0]
        scores = scores.unflatten(1, (num_episodes, candidates))
        actions = actions.unflatten(1, (num_episodes, candidates))
        return choose_rows(actions, scores.argmax(dim=2))
