"""Flow-QL: Diffusion-QL with a flow for its diffusion policy.

L(theta) = L_flow(theta) - eta E Q(s, a^1) / E|Q|,  a^1 by Euler's rule from noise

L_flow is flow matching (Lipman et al., 2023) on the dataset's actions; the Q term's
gradient passes through every step of the integration. Critics, targets, the Q term and
the choice among candidates are those of Diffusion-QL (eq. 3). Park et al. (2025) run
this method as FBRAC, "flow behaviour-regularised actor-critic".
"""

from __future__ import annotations

from torch import Tensor

from dql.agents.agent import Noise
from dql.agents.diffusion_ql import DiffusionQL
from dql.core.batch import Batch
from dql.core.noise import Draw
from dql.diffusion.flow import FlowPolicy


class FlowQL(DiffusionQL):
    """Twin critics, and a flow trained on its matching loss and on the critics."""

    chain = "start"

    def make_actor(self) -> FlowPolicy:
        return FlowPolicy(
            self.spec.observation_dim,
            self.spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            activation=self.settings.activation,
            num_flow_steps=self.settings.num_flow_steps,
        )

    def cloning_draws(self, batch_size: int) -> dict[str, Draw]:
        return {
            "flow_noise": Draw((batch_size, self.spec.action_dim)),
            "flow_time": Draw((batch_size, 1), "uniform"),
        }

    def chain_draw(self, *rows: int) -> Draw:
        return Draw((*rows, self.spec.action_dim))

    def policy_samples(
        self, actor: FlowPolicy, observations: Tensor, noise: Tensor
    ) -> Tensor:
        return actor.sample(observations, noise)

    def bc_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return L_flow, (R,)."""
        return self.actor.loss(
            batch.observations, batch.actions, noise["flow_time"], noise["flow_noise"]
        )

    def bc_loss_and_actions(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return L_flow (R,) and the integrated actions of the Q term, (R, B, A)."""
        actions = self.actor.sample(batch.observations, noise["actor_start"])
        return self.bc_loss(batch, noise), actions
