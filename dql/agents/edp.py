"""Efficient diffusion policies (Kang et al., 2023): Diffusion-QL without the chain.

The Q term is taken at the action the network predicts from a noised action of the
dataset, in the pass that L_d needs anyway (Section 4.1), not at the end of the reverse
chain. So a step costs the same for any N, and actions are drawn in a few steps along
the probability-flow ODE (Section 4.2). This is the paper's variant with TD3's losses,
which it runs on locomotion.

The released sampler is DPM-Solver of third order at times evenly spaced; here it is
DPM-Solver++(2M) at times denser near the data, with as many calls of the network.
"""

from __future__ import annotations

from torch import Tensor

from dql.agents.agent import Noise
from dql.agents.diffusion_ql import DiffusionQL
from dql.core.batch import Batch
from dql.core.noise import Draw
from dql.diffusion.policy import Diffusion


class EDP(DiffusionQL):
    """Diffusion-QL with one-step action approximation and a fast sampler."""

    chain = "start"

    def chain_draw(self, *rows: int) -> Draw:
        return Draw((*rows, self.spec.action_dim))

    def policy_draws(self, batch_size: int) -> dict[str, Draw]:
        return {}

    def policy_samples(
        self, actor: Diffusion, observations: Tensor, noise: Tensor
    ) -> Tensor:
        num_steps = self.settings.num_denoising_steps
        num_solver_steps = min(self.settings.num_solver_steps, num_steps)
        return actor.solve(observations, noise, num_solver_steps)

    def bc_loss_and_actions(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return L_d (R,) and the actions predicted in it, (R, B, A)."""
        prediction = self.actor.predict(
            batch.observations, batch.actions, noise["denoising_step"], noise["noise"]
        )
        loss = self.actor.prediction_loss(prediction, batch.actions, noise["noise"])
        return loss, self.actor.clean_actions(prediction)

    def q_normalizer(self, batch: Batch, q_values: Tensor) -> Tensor:
        """Return each critic's own mean |Q| at the predicted actions, (R, 2)."""
        return q_values.detach().abs().mean(dim=2)

    def scores(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the smaller online critic, (R, B)."""
        return self.critic(observations, actions).amin(dim=1)
