"""Hyperparameters of IQL, AWAC, AWR and Onestep RL; see `settings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dql.agents.ranges import (
    Expectile,
    LogScale,
    NonNegative,
    Positive,
    Probability,
    Size,
    StepSize,
)
from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class AdvantageWeightedSettings(AgentSettings):
    """A Gaussian policy by weighted regression: what IQL, AWAC, AWR and Onestep share.

    The inverse temperature multiplies the advantage in the exponent of the weight.
    """

    hidden_dim: Size = 256
    num_hidden_layers: Size = 2  # of the actor
    critic_num_hidden_layers: Size = 2  # of Q and V
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4  # of Q and V
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    inverse_temperature: NonNegative = 1.0
    log_std_min: LogScale = -5.0
    log_std_max: LogScale = 2.0
    initial_log_std: LogScale = 0.0
    action_rule: Literal["mean", "sample"] = "mean"  # all four evaluate the mean

    def contradictions(self) -> Iterator[str]:
        """Name the settings that do not fit together, each of them in its range."""
        yield from super().contradictions()
        if not self.log_std_min < self.initial_log_std < self.log_std_max:
            yield (
                f"initial_log_std, {self.initial_log_std}, is not between log_std_min,"
                f" {self.log_std_min}, and log_std_max, {self.log_std_max}"
            )


@dataclass(frozen=True, kw_only=True)
class IQLSettings(AdvantageWeightedSettings):
    """IQL (Kostrikov et al., 2021); defaults are its values for D4RL's locomotion.

    Left out: the cosine decay of the actor's rate over a million steps, and the dropout
    of 0.1 in its actor on Adroit and Kitchen.
    """

    expectile: Expectile = 0.7  # tau
    inverse_temperature: NonNegative = 3.0  # beta
    max_weight: Positive = 100.0


@dataclass(frozen=True, kw_only=True)
class AWACSettings(AdvantageWeightedSettings):
    """AWAC (Nair et al., 2020); defaults are its released script for MuJoCo.

    Its batches hold 1024 transitions.
    """

    num_hidden_layers: Size = 4
    inverse_temperature: NonNegative = 0.5  # 1 / lambda
    log_std_min: LogScale = -6.0
    log_std_max: LogScale = 0.0
    initial_log_std: LogScale = -3.0
    weight_decay: NonNegative = 1e-4  # of the policy


@dataclass(frozen=True, kw_only=True)
class AWRSettings(AdvantageWeightedSettings):
    """AWR (Peng et al., 2019) on a fixed dataset; temperature and clip as released.

    It has no values for D4RL. Networks and Adam are those of the other three; its own
    are layers of 128 and 64 under SGD with momentum.
    """

    inverse_temperature: NonNegative = 1.0  # 1 / beta, of standardised advantages
    max_weight: Positive = 20.0


@dataclass(frozen=True, kw_only=True)
class OnestepSettings(AdvantageWeightedSettings):
    """Onestep RL (Brandfonbrener et al., 2021), exponentially weighted, as released.

    Its batches hold 512 transitions.
    """

    hidden_dim: Size = 1024
    learning_rate: StepSize = 1e-4  # of the clone, too
    critic_learning_rate: StepSize = 1e-4
    polyak_step_size: StepSize = 0.0025  # the release: 0.005 every second step
    inverse_temperature: NonNegative = 1.0  # the authors choose one for each dataset
    max_weight: Positive = 100.0
    num_value_samples: Size = 10
