"""BCQ (Fujimoto et al., 2019) with a diffusion model for its CVAE (paper, Table 2).

The diffusion model, trained on L_d alone (eq. 2), proposes actions, a perturbation
model moves them by at most Phi, and the critic chooses. Everything but the behaviour
model is BCQ's. The authors published no code of this row.
"""

from __future__ import annotations

from torch import Tensor

from dql.agents.agent import Metrics, Noise
from dql.agents.bc_diffusion import denoising_draws, make_diffusion
from dql.agents.bcq import BCQ
from dql.core.batch import Batch
from dql.core.noise import Draw
from dql.core.optimization import Adam


class BCQDiffusion(BCQ):
    """BCQ whose proposals are samples of a reverse chain."""

    proposal = "chain"

    def add_behavior_policy(self) -> None:
        """Add the diffusion model and its optimiser."""
        behavior_policy = make_diffusion(self, self.settings.behavior_hidden_dim)
        self.behavior_policy = self.add_module("behavior_policy", behavior_policy)
        self.optimizers["behavior_policy"] = Adam(
            behavior_policy.parameters(), self.settings.behavior_learning_rate
        )

    def behavior_draws(self, batch_size: int) -> dict[str, Draw]:
        return denoising_draws(self, batch_size)

    def proposal_draw(self, num_rows: int) -> Draw:
        num_steps = self.settings.num_denoising_steps
        return Draw((num_steps, num_rows, self.spec.action_dim))

    def behavior_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Metrics]:
        """Return L_d, (R,)."""
        loss = self.behavior_policy.loss(
            batch.observations, batch.actions, noise["denoising_step"], noise["noise"]
        )
        return loss, {"actor/bc_loss": loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        num_steps, action_dim = self.settings.num_denoising_steps, self.spec.action_dim
        shape = (num_episodes, num_steps, self.num_candidates, action_dim)
        return {"chain": Draw(shape)}

    def candidate_noise(self, noise: Noise) -> Tensor:
        """Return the chains of all candidates, (R, N, E x candidates, A)."""
        return noise["chain"].transpose(1, 2).flatten(2, 3)
