"""Hyperparameters of agents that read windows of episodes, as in `settings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dql.agents.ranges import (
    Channels,
    Interval,
    Length,
    NonNegative,
    Number,
    Positive,
    Probability,
    Rate,
    Size,
    Steps,
    StepSize,
)
from dql.agents.settings import AgentSettings


@dataclass(frozen=True, kw_only=True)
class DecisionTransformerSettings(AgentSettings):
    """Decision Transformer (Chen et al., 2021); defaults are its Table 9, for Gym.

    Target returns stand in methods.yaml, by task.
    """

    READS_WINDOWS = True
    context_length: Length = 20  # K
    embedding_dim: Size = 128
    num_layers: Size = 3
    num_heads: Size = 1
    dropout: Rate = 0.1
    learning_rate: StepSize = 1e-4
    weight_decay: NonNegative = 1e-4
    warmup_steps: Steps = 10_000
    """First steps, in which the learning rate rises along a line (released code)."""
    max_gradient_norm: Positive | None = 0.25
    num_timesteps: Size = 1000
    """Rows of the table that embeds time; a later step is taken for the last."""
    target_return: Number | None = None
    """What the policy is asked for at an episode's start; None: the data's best."""
    return_scale: Positive = 1000.0
    """Returns are divided by it before they are embedded (released code)."""

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        if self.embedding_dim % self.num_heads:
            yield (
                f"embedding_dim, {self.embedding_dim}, is no multiple of num_heads, "
                f"{self.num_heads}"
            )


@dataclass(frozen=True, kw_only=True)
class PlannerSettings(AgentSettings):
    """What agents that plan by diffusion share; the released code of Diffuser."""

    READS_WINDOWS = True
    horizon: Length = 32  # rows of a plan
    channels: Channels = 32
    channel_levels: Literal["1-2", "1-2-4", "1-4-8", "1-2-4-8"] = "1-2-4-8"
    """Channels of each level of the network; the length halves from one to the next."""
    num_denoising_steps: Size = 20
    learning_rate: StepSize = 2e-4
    return_discount: Probability = 0.99
    termination_reward: Number = -100.0
    """Added to the reward of a step that ends an episode, where returns are learned."""
    actor_ema_decay: Probability = 0.995
    actor_ema_interval: Interval = 10
    actor_ema_start: Steps = 2000

    @property
    def level_dims(self) -> list[int]:
        """Return the channels of each level."""
        return [self.channels * int(x) for x in self.channel_levels.split("-")]

    def contradictions(self) -> Iterator[str]:
        yield from super().contradictions()
        factor = 2 ** (len(self.level_dims) - 1)
        if self.horizon % factor:
            yield (
                f"horizon, {self.horizon}, cannot be halved as often as channel_levels,"
                f" {self.channel_levels}, asks: it must be a multiple of {factor}"
            )


@dataclass(frozen=True, kw_only=True)
class DiffuserSettings(PlannerSettings):
    """Diffuser (Janner et al., 2022): config/locomotion.py of the released code."""

    return_discount: Probability = 0.997
    action_weight: NonNegative = 10.0  # of the plan's first action in the loss
    num_candidates: Size = 64  # plans per decision
    num_guide_steps: Size = 2
    guide_scale: NonNegative = 0.1
    num_unguided_steps: Steps = 2  # the last ones, t_stopgrad
    value_scale: Positive = 1.0
    """Returns are divided by it before they are learned."""


@dataclass(frozen=True, kw_only=True)
class DecisionDiffuserSettings(PlannerSettings):
    """Decision Diffuser (Ajay et al., 2022): locomotion_config.py of its release."""

    horizon: Length = 100
    channels: Channels = 128
    channel_levels: Literal["1-2", "1-2-4", "1-4-8", "1-2-4-8"] = "1-4-8"
    num_denoising_steps: Size = 200
    prediction: Literal["noise", "plan"] = "noise"  # of the network; released: either
    hidden_dim: Size = 256  # of the inverse dynamics
    num_hidden_layers: Size = 2
    condition_dropout: Rate = 0.25
    guidance_weight: NonNegative = 1.2  # omega
    target_return: Number = 0.9  # in units of return_scale
    return_scale: Positive | None = None
    """None: the data's best return. Released: 400, "determined using rewards"."""
    temperature: NonNegative = 0.5  # multiplies the chain's noise (low-temperature)
    num_quantiles: Length = 1001
    """Knots of the distribution that each observation is normalised by."""
