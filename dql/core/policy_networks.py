"""Networks that are policies: Gaussians, mixtures of them, a conditional VAE."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from dql.core.networks import MLP, Generators


class GaussianActor(nn.Module):
    """A diagonal Gaussian over actions, mean and log standard deviation per state.

    The logarithm is clamped to its range, or tanh maps it there: a clamp passes no
    gradient back from outside the range, where a network may begin.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        log_std_range: tuple[float, float],
        log_std_rule: Literal["clamp", "tanh"] = "clamp",
    ) -> None:
        super().__init__()
        self.log_std_range = log_std_range
        self.log_std_rule = log_std_rule
        dims = [observation_dim, *[hidden_dim] * num_hidden_layers, 2 * action_dim]
        self.mlp = MLP(dims, generators, activation=activation)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation, (R, B, A) each."""
        mean, log_std = self.mlp(observations).chunk(2, dim=-1)
        low, high = self.log_std_range
        if self.log_std_rule == "tanh":
            return mean, low + (high - low) / 2 * (1 + log_std.tanh())
        return mean, log_std.clamp(low, high)


class BoundedGaussianActor(nn.Module):
    """A diagonal Gaussian: a mean within [-1, 1], one deviation for all states.

    Its log is squashed into its range. A clip would pass no gradient outside, so that a
    deviation which overshot the range could never come back.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        log_std_range: tuple[float, float],
        initial_log_std: float,
    ) -> None:
        super().__init__()
        self.log_std_range = log_std_range
        dims = [observation_dim, *[hidden_dim] * num_hidden_layers, action_dim]
        self.mlp = MLP(dims, generators, activation=activation)
        low, high = log_std_range
        logit = math.log((initial_log_std - low) / (high - initial_log_std))
        self.log_std_logit = nn.Parameter(
            torch.full((len(generators), 1, action_dim), logit)
        )

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation, (R, B, A) each."""
        mean = self.mlp(observations).tanh()
        low, high = self.log_std_range
        log_std = low + (high - low) * self.log_std_logit.sigmoid()
        return mean, log_std.expand_as(mean)


class Mixture(NamedTuple):
    """A mixture of K diagonal Gaussians over actions for every state."""

    log_weights: Tensor  # (R, B, K), normalised
    means: Tensor  # (R, B, K, A)
    log_stds: Tensor  # (R, B, K, A)


class MixtureActor(nn.Module):
    """A mixture density network (Bishop, 1994)."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        num_components: int,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        log_std_range: tuple[float, float],
    ) -> None:
        super().__init__()
        self.log_std_range = log_std_range
        self.split = [1, action_dim, action_dim]
        self.outputs = (num_components, sum(self.split))
        hidden = [hidden_dim] * num_hidden_layers
        dims = [observation_dim, *hidden, math.prod(self.outputs)]
        self.mlp = MLP(dims, generators, activation=activation)

    def forward(self, observations: Tensor) -> Mixture:
        """Return the mixture of every observation (R, B, O)."""
        outputs = self.mlp(observations).unflatten(2, self.outputs)
        logits, means, log_stds = outputs.split(self.split, dim=3)
        log_weights = logits[..., 0].log_softmax(dim=2)
        return Mixture(log_weights, means, log_stds.clamp(*self.log_std_range))


class CVAE(nn.Module):
    """BCQ's conditional variational autoencoder of the dataset's actions."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        activation: str,
        latent_dim: int,
        latent_clip: float,
    ) -> None:
        super().__init__()
        self.latent_dim, self.latent_clip = latent_dim, latent_clip
        hidden = [hidden_dim] * num_hidden_layers
        self.encoder = MLP(
            [observation_dim + action_dim, *hidden, 2 * latent_dim],
            generators,
            activation=activation,
        )
        self.decoder = MLP(
            [observation_dim + latent_dim, *hidden, action_dim],
            generators,
            activation=activation,
        )

    def encode(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and standard deviation, (R, B, latent)."""
        inputs = torch.cat([observations, actions], dim=-1)
        mean, log_std = self.encoder(inputs).chunk(2, dim=-1)
        return mean, log_std.clamp(-4, 15).exp()  # BCQ's bounds

    def decode_raw(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Return actions before the hyperbolic tangent, (R, B, A)."""
        return self.decoder(torch.cat([observations, latents], dim=-1))

    def decode(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Return actions (R, B, A) within [-1, 1]."""
        return self.decode_raw(observations, latents).tanh()

    def sample(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Decode prior noise (R, B, latent), clipped as in BCQ."""
        return self.decode(observations, self.clip(noise))

    def clip(self, noise: Tensor) -> Tensor:
        """Clip prior noise to the range the decoder is trusted in."""
        return noise.clamp(-self.latent_clip, self.latent_clip)
