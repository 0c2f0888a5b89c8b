"""Hyperparameters of agents that read windows of episodes, as in `settings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dql.agents.ranges import (
    Length,
    NonNegative,
    Number,
    Positive,
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
