"""MoReL: a policy for a pessimistic model of the data (Kidambi et al., 2020).

f_i(s, a) = s + m + d MLP_i(s, a),  i = 1, ..., M, by squared errors  (Section 4.2)
disc(s, a) = max_{i, j} |f_i(s, a) - f_j(s, a)|
unknown(s, a) where disc(s, a) > max_{(s, a) in data} disc(s, a) / c

In the pessimistic MDP an unknown state-action leads to HALT, where an episode ends; all
others go where one of the models says, each rollout in a model of its own, until the
horizon. The policy begins as a clone of the data and is then trained in that MDP alone.

Three substitutes: soft actor-critic (`sac.py`) optimises the policy in place of natural
policy gradients, each step of all rollouts one of its batches. Rewards and ends are
outputs of the models, where the released code is given the environment's functions.
Rollouts begin in any state of the data, an option there, not in first states only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_rows
from dql.agents.model_settings import MoReLSettings
from dql.agents.sac import SAC
from dql.agents.squashed_actor_critic import log_density, sample_policy
from dql.core.batch import Batch
from dql.core.dynamics import DynamicsEnsemble, largest_discrepancy
from dql.core.losses import mean_per_run
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step

LARGEST_STATE = 100.0
"""Predicted states are clipped to it, as released, so that none blows up."""


class Rollouts(nn.Module):
    """Where the rollouts of each run stand, and what the models know."""

    def __init__(self, num_runs: int, num_rollouts: int, observation_dim: int) -> None:
        super().__init__()
        shape = num_runs, num_rollouts
        self.states = nn.Parameter(torch.zeros(*shape, observation_dim), False)
        self.ages = nn.Parameter(torch.zeros(shape), False)
        self.largest = nn.Parameter(torch.zeros(num_runs, 1), False)

    @torch.no_grad()
    def survey(self, discrepancy: Tensor) -> None:
        """Keep the largest discrepancy on the data, of (R, B)."""
        found = discrepancy.amax(dim=1, keepdim=True)
        self.largest.copy_(torch.maximum(self.largest, found))

    @torch.no_grad()
    def begin(self, starts: Tensor) -> None:
        """Put every rollout at its start, (R, N, O)."""
        self.states.copy_(starts)
        self.ages.zero_()

    @torch.no_grad()
    def advance(self, played: Batch, starts: Tensor, horizon: int) -> None:
        """Go on to the next states; what has ended begins at its start, (R, N, O)."""
        ages = self.ages + 1
        ends = (played.terminations > 0) | (ages >= horizon)
        states = torch.where(ends[..., None], starts, played.next_observations)
        self.states.copy_(states)
        self.ages.copy_(ages * ~ends)


class MoReL(SAC):
    """Models, the rollouts in them, and a soft actor-critic that sees those alone."""

    def __init__(self, spec: AgentSpec, settings: Sequence[MoReLSettings]) -> None:
        super().__init__(spec, settings)
        count = self.settings.num_rollouts
        model = DynamicsEnsemble(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            num_members=self.settings.num_models,
            hidden_dim=self.settings.model_hidden_dim,
            num_hidden_layers=self.settings.model_num_hidden_layers,
        )
        rollouts = Rollouts(spec.num_runs, count, spec.observation_dim)
        self.model = self.add_module("model", model)
        self.rollouts = self.add_module("rollouts", rollouts)
        rate = self.settings.model_learning_rate
        self.optimizers["model"] = Adam(model.mlp.parameters(), rate)
        members = torch.arange(count, device=spec.device) % self.settings.num_models
        self.members = members.expand(spec.num_runs, -1)  # the model of each rollout

    def phase(self, step: int) -> str:
        """Name what a step, counted from 0, learns: the model, its limits, a policy."""
        if step < self.settings.model_steps:
            return "model"
        step -= self.settings.model_steps
        return "survey" if step < self.settings.survey_steps else "step"

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        count = self.settings.num_rollouts
        draws = super().training_draws(max(batch_size, count))
        return draws | {
            "model_rows": Draw((self.settings.num_models, batch_size), "uniform"),
            "start_row": Draw((count,), "integer", batch_size),
            "rollout_action": Draw((count, self.spec.action_dim)),
        }

    def fit_model(self, batch: Batch, noise: Noise) -> Metrics:
        """Take one gradient step on the models."""
        self.model.see(batch)
        loss = self.model.loss(batch, noise["model_rows"])
        gradient_step(self.optimizers["model"], loss.sum(), self.spec.num_runs)
        return {"model/loss": loss.detach() / self.settings.num_models}

    def starts(self, batch: Batch, noise: Noise) -> Tensor:
        """Return a state of the batch for every rollout, (R, N, O)."""
        rows = noise["start_row"][..., None].expand(-1, -1, self.spec.observation_dim)
        return batch.observations.gather(1, rows)

    @torch.no_grad()
    def survey(self, batch: Batch, noise: Noise) -> Metrics:
        """Look for the largest discrepancy on the data; rollouts wait at a start."""
        states, _, _ = self.model(batch.observations, batch.actions)
        self.rollouts.survey(largest_discrepancy(states))
        self.rollouts.begin(self.starts(batch, noise))
        return {"model/largest_discrepancy": self.rollouts.largest[:, 0].clone()}

    @torch.no_grad()
    def play(self, states: Tensor, actions: Tensor) -> tuple[Batch, Tensor]:
        """Return what the pessimistic MDP makes of (R, N, O) and (R, N, A).

        With it what is unknown, (R, N): that the transition is into HALT.
        """
        every, rewards, logits = self.model(states, actions)
        limit = self.rollouts.largest / self.settings.pessimism_coefficient
        unknown = largest_discrepancy(every) > limit
        outputs = torch.cat([every, rewards[..., None], logits[..., None]], dim=3)
        own = choose_rows(outputs.transpose(1, 2), self.members)
        following, rewards, logits = own[..., :-2], own[..., -2], own[..., -1]
        ends = unknown | (logits > 0)
        if not self.spec.bootstraps:
            ends = torch.ones_like(unknown)
        return Batch(
            observations=states,
            actions=actions,
            rewards=rewards + self.settings.halt_reward * unknown,
            next_observations=following.clamp(-LARGEST_STATE, LARGEST_STATE),
            terminations=ends.to(rewards.dtype),
        ), unknown

    @torch.no_grad()
    def roll_out(self, batch: Batch, noise: Noise) -> tuple[Batch, Metrics]:
        """Take one step of every rollout; return the transitions, (R, N, ...)."""
        states = self.rollouts.states.clone()
        actions = sample_policy(self.actor, states, noise["rollout_action"]).actions
        played, unknown = self.play(states, actions)
        starts = self.starts(batch, noise)
        self.rollouts.advance(played, starts, self.settings.horizon)
        return played, {
            "rollout/reward": mean_per_run(played.rewards),
            "rollout/unknown_share": mean_per_run(unknown.to(states.dtype)),
            "rollout/end_share": mean_per_run(played.terminations),
        }

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Fit the models, measure them or play in them; then step actor and critics."""
        outputs = self.actor(batch.observations)
        likelihood = mean_per_run(log_density(*outputs, batch.actions))
        metrics = {"actor/bc_loss": -likelihood.detach()}
        if phase == "step":
            batch, more = self.roll_out(batch, noise)
        elif phase == "survey":
            more = self.survey(batch, noise)
        else:
            more = self.fit_model(batch, noise)
        rows = batch.rewards.shape[1]
        noise = {name: values[:, :rows] for name, values in noise.items()}
        sample = sample_policy(self.actor, batch.observations, noise["action"])
        actor_loss = self.actor_loss(batch, sample) if phase == "step" else -likelihood
        critic_loss, found = self.critic_loss(batch, noise)
        metrics |= more | found | self.step_actor_and_critic(actor_loss, critic_loss)
        densities = sample.log_density.detach()
        target = self.settings.target_entropy_per_action * self.spec.action_dim
        self.update_temperature("temperature", densities, target)
        return metrics | {"actor/entropy": -mean_per_run(densities)}
