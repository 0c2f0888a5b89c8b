"""IDQL (Hansen-Estruch et al., 2023): a diffusion clone that IQL's critics choose from.

The clone is trained on L_d alone, Q and V by implicit Q-learning; they meet only where
the agent acts. It draws candidates from the clone's moving average and takes the one of
the largest min_j Q'_j (the paper's evaluation on D4RL), or draws one with the weight
|tau - 1(Q < V)| of the policy that V's expectile stands for (Section 4.1).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dql.agents.agent import AgentSpec, Metrics, Noise, choose_candidates, repeat_rows
from dql.agents.bc_diffusion import BCDiffusion
from dql.agents.diffusion_settings import IDQLSettings
from dql.agents.value_networks import ImplicitValues
from dql.core.batch import Batch
from dql.core.noise import Draw
from dql.core.optimization import polyak_update


class IDQL(ImplicitValues, BCDiffusion):
    """A diffusion clone with its average, twin critics and V."""

    def __init__(self, spec: AgentSpec, settings: Sequence[IDQLSettings]) -> None:
        super().__init__(spec, settings)
        self.target_actor = self.add_module("target_actor", copy.deepcopy(self.actor))
        self.add_implicit_values()
        self.discount = self.per_run("discount")

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the clone, V and the critics, then averages."""
        metrics = super().update(batch, noise, phase)
        step_size = self.settings.actor_polyak_step_size
        polyak_update(self.actor, self.target_actor, step_size)
        metrics |= self.update_value(batch, self.data_q(batch))
        return metrics | self.update_critics(batch)

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        num_steps, action_dim = self.settings.num_denoising_steps, self.spec.action_dim
        candidates = self.settings.num_candidates
        return {
            "chain": Draw((num_episodes, num_steps, candidates, action_dim)),
            "choice": Draw((num_episodes, candidates), "uniform"),
        }

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Draw candidates from the clone and keep one by the critics."""
        candidates = self.settings.num_candidates
        repeated = repeat_rows(observations, candidates)
        is_average = self.settings.evaluation_actor == "ema"
        actor = self.target_actor if is_average else self.actor
        actions = actor.sample(repeated, noise["chain"].transpose(1, 2).flatten(2, 3))
        q_values = self.target_critic(repeated, actions).amin(dim=1)
        if self.settings.candidate_rule == "greedy":
            return choose_candidates(actions, q_values, candidates)
        expectile = self.expectile[:, None].expand_as(q_values)
        is_worse = q_values < self.values(repeated)
        weights = torch.where(is_worse, 1 - expectile, expectile)
        return choose_candidates(actions, weights.log(), candidates, noise["choice"])
