"""A conditional flow policy for R stacked runs (Lipman et al., 2023; Liu et al., 2023).

A velocity field carries noise x^0 at time 0 along dx/dt = v(x, s, t) to an action x^1
at time 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dql.core.losses import mean_squared_error
from dql.core.networks import MLP, Generators


class FlowPolicy(nn.Module):
    """A velocity field, its flow-matching loss and its integration by Euler's rule."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        num_flow_steps: int,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_flow_steps = num_flow_steps
        hidden = [hidden_dim] * num_hidden_layers
        dims = [observation_dim + action_dim + 1, *hidden, action_dim]
        self.mlp = MLP(dims, generators, activation=activation, layer_norm=layer_norm)

    def velocity(self, observations: Tensor, points: Tensor, times: Tensor) -> Tensor:
        """Return v(x, s, t) of states (R, B, O), points (R, B, A), times (R, B, 1)."""
        return self.mlp(torch.cat([observations, points, times], dim=-1))

    def loss(
        self, observations: Tensor, actions: Tensor, times: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the mean of (v(x^t, s, t) - (a - x^0))^2 over batch and action, (R,).

        x^t = (1 - t) x^0 + t a lies on the line from noise (R, B, A) to action; the
        times are (R, B, 1) within [0, 1].
        """
        points = torch.lerp(noise, actions, times)
        return mean_squared_error(
            self.velocity(observations, points, times), actions - noise
        )

    def sample(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Follow the field from noise (R, B, A); return actions within [-1, 1]."""
        points = noise
        for step in range(self.num_flow_steps):
            times = torch.full_like(noise[..., :1], step / self.num_flow_steps)
            velocity = self.velocity(observations, points, times)
            points = points + velocity / self.num_flow_steps
        return points.clamp(-1, 1)
