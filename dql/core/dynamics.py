"""An ensemble of networks that predict what an action does: state, reward, end."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dql.core.batch import Batch
from dql.core.networks import MLP, Generators

SMALLEST_SCALE = 1e-8
"""Added to deviations: a coordinate that never moves has none."""


class RunningMoments(nn.Module):
    """Mean and variance of the rows each run has seen, (R, 1, D); 0 and 1 at first."""

    def __init__(self, num_runs: int, dim: int) -> None:
        super().__init__()
        shape = num_runs, 1, dim
        self.num_batches = nn.Parameter(torch.zeros(num_runs, 1, 1), False)
        self.mean = nn.Parameter(torch.zeros(shape), False)
        self.variance = nn.Parameter(torch.ones(shape), False)

    @torch.no_grad()
    def see(self, rows: Tensor) -> None:
        """Take in a batch of rows (R, B, D), of one size throughout."""
        self.num_batches += 1
        share = 1 / self.num_batches
        step = rows.mean(dim=1, keepdim=True) - self.mean
        spread = rows.var(dim=1, correction=0, keepdim=True)
        spread = spread + (1 - share) * step.square()
        self.mean += share * step
        self.variance.lerp_(spread, share.expand_as(spread))

    @property
    def scale(self) -> Tensor:
        """Return the standard deviations, none of them 0."""
        return self.variance.sqrt() + SMALLEST_SCALE

    def normalize(self, rows: Tensor) -> Tensor:
        """Shift and scale rows (R, B, D) by the moments."""
        return (rows - self.mean) / self.scale


class DynamicsEnsemble(nn.Module):
    """M networks for each run, of normalised inputs and outputs.

    Outputs are the change of the state, the reward, and the logit of the end.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        num_members: int,
        hidden_dim: int,
        num_hidden_layers: int,
    ) -> None:
        super().__init__()
        self.num_members = num_members
        inputs, outputs = observation_dim + action_dim, observation_dim + 1
        hidden = [hidden_dim] * num_hidden_layers
        self.mlp = MLP(
            [inputs, *hidden, outputs + 1],
            generators,
            activation="relu",
            members=num_members,
        )
        self.inputs = RunningMoments(len(generators), inputs)
        self.outputs = RunningMoments(len(generators), outputs)

    def see(self, batch: Batch) -> None:
        """Take a batch's transitions into the moments."""
        self.inputs.see(torch.cat([batch.observations, batch.actions], dim=2))
        self.outputs.see(_outcome(batch))

    def normalized(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return all networks' outputs as they are, (R, M, B, O + 2)."""
        inputs = torch.cat([observations, actions], dim=2)
        outputs = self.mlp(self.inputs.normalize(inputs))
        return outputs.unflatten(0, (-1, self.num_members))

    def forward(
        self, observations: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return next states (R, M, B, O), rewards and logits of the end, (R, M, B)."""
        outputs = self.normalized(observations, actions)
        outcome, logits = outputs[..., :-1], outputs[..., -1]
        outcome = outcome * self.outputs.scale[:, None] + self.outputs.mean[:, None]
        return observations[:, None] + outcome[..., :-1], outcome[..., -1], logits

    def loss(self, batch: Batch, rows: Tensor) -> Tensor:
        """Return the members' errors, each on its own half of the batch, (R,).

        Squared errors of normalised outcomes plus the end's cross-entropy. Uniform
        numbers `rows` (R, M, B) tell whose a row is: a member's where below one half.
        """
        outputs = self.normalized(batch.observations, batch.actions)
        target = self.outputs.normalize(_outcome(batch))[:, None]
        errors = (outputs[..., :-1] - target).square().mean(dim=3)
        ends = batch.terminations[:, None].expand_as(errors)
        errors = errors + functional.binary_cross_entropy_with_logits(
            outputs[..., -1], ends, reduction="none"
        )
        return (2 * (rows < 0.5) * errors).mean(dim=2).sum(dim=1)


def _outcome(batch: Batch) -> Tensor:
    """Return how the states change, and the rewards, (R, B, O + 1)."""
    change = batch.next_observations - batch.observations
    return torch.cat([change, batch.rewards[..., None]], dim=2)


def largest_discrepancy(predictions: Tensor) -> Tensor:
    """Return max_{i, j} |f_i - f_j| of members' vectors (R, M, B, O), (R, B)."""
    differences = predictions[:, :, None] - predictions[:, None]
    return torch.linalg.vector_norm(differences, dim=4).amax(dim=(1, 2))
