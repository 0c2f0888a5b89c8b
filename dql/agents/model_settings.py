"""Hyperparameters of the agents that learn what actions do; see `settings.py`."""

from __future__ import annotations

from dataclasses import dataclass

from dql.agents.ranges import (
    Expectile,
    Interval,
    LogScale,
    NonNegative,
    Number,
    Positive,
    Size,
    Steps,
    StepSize,
)
from dql.agents.regularized_settings import SoftActorCriticSettings


@dataclass(frozen=True, kw_only=True)
class MoReLSettings(SoftActorCriticSettings):
    """MoReL (Kidambi et al., 2020); the model is its released D4RL configuration's.

    Its example is hopper-medium; others choose the pessimism for each dataset. The
    optimiser of the policy is SAC, with SAC's settings.
    """

    PREPARATION = ("model_steps", "survey_steps")
    LEARNS_ONLINE = False  # the model is fitted once; rows are starts of its roll-outs

    num_models: Size = 4
    model_hidden_dim: Size = 512
    model_num_hidden_layers: Size = 2
    model_learning_rate: StepSize = 1e-3
    model_steps: Steps = 100_000  # 25 epochs of a million transitions, 256 a batch
    survey_steps: Interval = 4_000
    """Then steps in which the largest discrepancy on the data is found: one epoch."""
    pessimism_coefficient: Positive = 3.0
    """That discrepancy divided by it: above, a state-action is unknown."""
    halt_reward: Number = 0.0
    """Of entering HALT, truncate_reward; the paper's -kappa in every step there comes
    to -kappa discount / (1 - discount)."""
    horizon: Size = 700
    num_rollouts: Size = 200  # 50 in each model


@dataclass(frozen=True, kw_only=True)
class DOSERSettings(SoftActorCriticSettings):
    """DOSER (Wang et al., 2026); its release's values for hopper-medium.

    What differs by task there stands in `workflow/config/methods.yaml`.
    """

    PREPARATION = ("pretraining_steps", "survey_steps")
    STANDARDIZES = True

    actor_num_hidden_layers: Size = 3
    log_std_min: LogScale = -5.0
    policy_interval: Interval = 2
    """Gradient steps between two of the policy and of all targets."""
    model_learning_rate: StepSize = 3e-4  # both denoisers and the dynamics
    pretraining_steps: Steps = 100_000  # of the same three
    survey_steps: Interval = 4_000
    """Then steps in which both thresholds are found: a pass over a million rows."""
    threshold_quantile: Expectile = 0.99  # percentile / 100, of the data's errors
    num_action_levels: Size = 1
    num_state_levels: Size = 10
    """Levels of noise over which an error is averaged."""
    num_action_samples: Size = 10
    """Of the behaviour in every state: its best is what an action is held to."""
    num_sampling_steps: Size = 100
    expectile: Expectile = 0.9  # of V
    smallest_q: Number = -125.0  # Q_min, by environment
    suppression_coefficient: NonNegative = 0.001  # beta
    compensation_coefficient: NonNegative = 0.001  # lambda
    compensation_scale: NonNegative = 0.9  # eta
