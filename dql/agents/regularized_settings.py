"""Hyperparameters of SAC, CQL, MCQ, Fisher-BRC, BRAC and FQL; see `settings.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dql.agents.ranges import (
    Flag,
    LogScale,
    NonNegative,
    Number,
    Probability,
    Size,
    Steps,
    StepSize,
)
from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class SquashedActorCriticSettings(AgentSettings):
    """A tanh-Gaussian actor with twin critics: what SAC, CQL and BRAC share."""

    critic_layer_norm: ClassVar[bool] = False
    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    log_std_min: LogScale = -20.0
    log_std_max: LogScale = 2.0
    action_rule: Literal["mean", "sample"] = "mean"


@dataclass(frozen=True, kw_only=True)
class SoftActorCriticSettings(SquashedActorCriticSettings):
    """What SAC and the methods that optimise by it share (Haarnoja et al., 2019).

    Sizes, rates and the target entropy are of the paper's Table 1; it acts by its mean.
    """

    temperature_learning_rate: StepSize = 3e-4
    target_entropy_per_action: Number = -1.0
    """Times A: the entropy at which dual ascent holds the policy."""


@dataclass(frozen=True, kw_only=True)
class SACSettings(SoftActorCriticSettings):
    """SAC with a temperature found by dual ascent (Haarnoja et al., 2019)."""

    critic_layer_norm: Flag = False
    """Critics that do not grow beyond the data (RLPD: Ball et al., 2023, Section 4.2).

    Here hidden activations are normalised, as in FQL; in RLPD what goes into them.
    """


@dataclass(frozen=True, kw_only=True)
class ClonesFirstSettings(SquashedActorCriticSettings):
    """The same with an actor that begins as a clone of the data."""

    PREPARATION = ("cloning_steps",)
    cloning_steps: Steps = 0
    """First steps, in which the actor imitates the data and Q does not reach it."""


@dataclass(frozen=True, kw_only=True)
class CQLSettings(ClonesFirstSettings):
    """CQL(H) (Kumar et al., 2020) as its authors run it on D4RL's Gym tasks.

    Values: README and examples/cql_mujoco_new.py of the released code.
    """

    num_hidden_layers: Size = 3  # of actor and critics
    learning_rate: StepSize = 1e-4  # of policy and temperature; "or 3e-4"
    critic_learning_rate: StepSize = 3e-4
    cloning_steps: Steps = 40_000  # policy_eval_start
    conservative_coefficient: NonNegative = 5.0  # alpha; "5.0 or 10.0" for Gym
    num_sampled_actions: Size = 10  # uniform, of pi(s) and of pi(s'), each
    backup_entropy: Flag = False  # released: deterministic_backup, eq. 3
    gap_threshold: Number | None = None
    """tau of the Lagrange version; None, as for Gym: alpha is fixed."""


@dataclass(frozen=True, kw_only=True)
class MCQSettings(SquashedActorCriticSettings):
    """MCQ (Lyu et al., 2022); defaults are those of its released configuration.

    Its paper chooses lambda for each dataset; the default is its code's. Left out:
    observations standardised, an option of its released code.
    """

    hidden_dim: Size = 400
    behavior_hidden_dim: Size = 750
    behavior_learning_rate: StepSize = 1e-3
    latent_dim_per_action: Size = 2
    kl_coefficient: NonNegative = 2.0
    """Sums over dimensions there: two latent ones an action, which has one error."""
    latent_clip: NonNegative = 0.5
    data_weight: Probability = 0.7  # lambda
    num_sampled_actions: Size = 10  # N, of the policy and of the CVAE


@dataclass(frozen=True, kw_only=True)
class FisherBRCSettings(ClonesFirstSettings):
    """Fisher-BRC (Kostrikov et al., 2021); defaults are those of its released code."""

    num_hidden_layers: Size = 3  # of actor and critics
    activation: Literal["relu"] = "relu"  # the gradient's penalty is written out for it
    behavior_num_hidden_layers: Size = 2
    behavior_learning_rate: StepSize = 1e-3
    num_components: Size = 5  # of the clone, for each action dimension
    cloning_steps: Steps = 1_000_000
    """First steps, in which the clone trains alone; the other networks wait."""
    gradient_coefficient: NonNegative = 0.1  # lambda, f_reg
    reward_bonus: Number = 5.0  # added to every reward


@dataclass(frozen=True, kw_only=True)
class BRACSettings(ClonesFirstSettings):
    """BRAC with a KL divergence (Wu et al., 2019).

    Values: run_primal.sh, run_bc.sh and defaults of the released code, which chooses
    alpha and the policy's rate for each dataset.
    """

    hidden_dim: Size = 200  # of policy and clone
    critic_hidden_dim: Size = 300
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 1e-3
    behavior_learning_rate: StepSize = 5e-4
    log_std_min: LogScale = -5.0
    log_std_max: LogScale = 0.0
    cloning_steps: Steps = 20_000  # warm_start: the divergence alone
    penalty: Literal["value", "policy"] = "value"
    """`value`: BRAC-v, the target is penalised as well; `policy`: BRAC-p."""
    penalty_coefficient: NonNegative = 0.1  # alpha
    num_divergence_samples: Size = 4
    target_entropy_per_action: Number = -1.0
    """Times A: the entropy at which dual ascent holds the clone."""


@dataclass(frozen=True, kw_only=True)
class FQLSettings(AgentSettings):
    """Flow Q-learning (Park et al., 2025); defaults are those of its released code.

    Its D4RL tasks are AntMaze and Adroit, with alpha from 3 to 30,000; it has no value
    for locomotion.
    """

    hidden_dim: Size = 512
    num_hidden_layers: Size = 4
    activation: Activation = "gelu"
    critic_layer_norm: Flag = True
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    num_flow_steps: Size = 10
    distillation_coefficient: NonNegative = 10.0  # alpha; most AntMazes'
    q_normalizer: Literal["none", "policy"] = "none"
    """`policy`: the Q term is divided by the mean |Q| of the policy's actions."""
    target_rule: Literal["mean", "min"] = "mean"  # over both critics; Adroit: min
