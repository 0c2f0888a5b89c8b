"""Hyperparameters of CQL, BRAC and FQL, as `settings.py` holds the others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class SquashedActorCriticSettings(AgentSettings):
    """A tanh-Gaussian actor with twin critics: what CQL and BRAC share."""

    hidden_dim: int = 256
    num_hidden_layers: int = 2
    activation: Activation = "relu"
    learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    discount: float = 0.99
    polyak_step_size: float = 0.005
    log_std_min: float = -20.0
    log_std_max: float = 2.0
    cloning_steps: int = 0
    """First steps, in which the actor imitates the data and Q does not reach it."""
    action_rule: Literal["mean", "sample"] = "mean"


@dataclass(frozen=True, kw_only=True)
class CQLSettings(SquashedActorCriticSettings):
    """CQL(H) (Kumar et al., 2020) as its authors run it on D4RL's Gym tasks.

    Values: README and examples/cql_mujoco_new.py of the released code.
    """

    num_hidden_layers: int = 3  # of actor and critics
    learning_rate: float = 1e-4  # of policy and temperature; "or 3e-4"
    critic_learning_rate: float = 3e-4
    cloning_steps: int = 40_000  # policy_eval_start
    conservative_coefficient: float = 5.0  # alpha; "5.0 or 10.0" for Gym
    num_sampled_actions: int = 10  # uniform, of pi(s) and of pi(s'), each
    backup_entropy: bool = False  # released: deterministic_backup, eq. 3
    gap_threshold: float | None = None
    """tau of the Lagrange version; None, as for Gym: alpha is fixed."""


@dataclass(frozen=True, kw_only=True)
class BRACSettings(SquashedActorCriticSettings):
    """BRAC with a KL divergence (Wu et al., 2019).

    Values: run_primal.sh, run_bc.sh and defaults of the released code, which chooses
    alpha and the policy's rate for each dataset.
    """

    hidden_dim: int = 200  # of policy and clone
    critic_hidden_dim: int = 300
    learning_rate: float = 3e-4
    critic_learning_rate: float = 1e-3
    behavior_learning_rate: float = 5e-4
    log_std_min: float = -5.0
    log_std_max: float = 0.0
    cloning_steps: int = 20_000  # warm_start: the divergence alone
    penalty: Literal["value", "policy"] = "value"
    """`value`: BRAC-v, the target is penalised as well; `policy`: BRAC-p."""
    penalty_coefficient: float = 0.1  # alpha
    num_divergence_samples: int = 4
    target_entropy_per_action: float = -1.0
    """Times A: the entropy at which dual ascent holds the clone."""


@dataclass(frozen=True, kw_only=True)
class FQLSettings(AgentSettings):
    """Flow Q-learning (Park et al., 2025); defaults are those of its released code.

    Its D4RL tasks are AntMaze and Adroit, with alpha from 3 to 30,000; it has no value
    for locomotion.
    """

    hidden_dim: int = 512
    num_hidden_layers: int = 4
    activation: Activation = "gelu"
    critic_layer_norm: bool = True
    learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    discount: float = 0.99
    polyak_step_size: float = 0.005
    num_flow_steps: int = 10
    distillation_coefficient: float = 10.0  # alpha; the code's own and most AntMazes'
    q_normalizer: Literal["none", "policy"] = "none"
    """`policy`: the Q term is divided by the mean |Q| of the policy's actions."""
    target_rule: Literal["mean", "min"] = "mean"  # over both critics; Adroit: min
