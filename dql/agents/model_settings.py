"""Hyperparameters of the agents that learn what actions do; see `settings.py`."""

from __future__ import annotations

from dataclasses import dataclass

from dql.agents.ranges import Interval, NonNegative, Number, Size, Steps, StepSize
from dql.agents.regularized_settings import SACSettings


@dataclass(frozen=True, kw_only=True)
class MoReLSettings(SACSettings):
    """MoReL (Kidambi et al., 2020); the model is its released D4RL configuration's.

    Its example is hopper-medium; others choose the pessimism for each dataset. The
    optimiser of the policy is SAC, with SAC's settings.
    """

    num_models: Size = 4
    model_hidden_dim: Size = 512
    model_num_hidden_layers: Size = 2
    model_learning_rate: StepSize = 1e-3
    model_steps: Steps = 100_000  # 25 epochs of a million transitions, 256 a batch
    survey_steps: Interval = 4_000
    """Then steps in which the largest discrepancy on the data is found: one epoch."""
    pessimism_coefficient: NonNegative = 3.0
    """Times that discrepancy: above it, a state-action is unknown."""
    halt_reward: Number = 0.0
    """Of entering HALT, truncate_reward; the paper's -kappa in every step there comes
    to -kappa discount / (1 - discount)."""
    horizon: Size = 700
    num_rollouts: Size = 200  # 50 in each model
