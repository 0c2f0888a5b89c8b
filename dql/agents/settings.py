"""Hyperparameters of the agents, without importing torch.

One frozen dataclass per agent; the defaults are the method's own D4RL values, with
their source, and their types the ranges (`ranges.py`). A run states only what differs
(`workflow/config/methods.yaml`). Modules beside it hold those of advantage-weighted, of
regularised, of diffusion and of model-based agents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from dql.agents.ranges import (
    Flag,
    Interval,
    LogScale,
    NonNegative,
    Positive,
    Probability,
    Size,
    Steps,
    StepSize,
)

Activation = Literal["relu", "mish", "gelu"]


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """What every agent has."""

    PREPARATION: ClassVar[tuple[str, ...]] = ()
    """Settings that count first steps which do not train the method's own policy."""
    READS_WINDOWS: ClassVar[bool] = False
    """Whether it learns from windows of episodes, `Agent.windows`."""
    LEARNS_ONLINE: ClassVar[bool] = True
    """Whether transitions that are added later are learned from."""
    STANDARDIZES: ClassVar[bool] = False
    """Whether it sees observations by the data's moments, whatever its settings."""

    learning_rate_decay_steps: Interval | None = None
    """Steps over which all learning rates fall to 0 along a cosine; None: constant.

    The released code means to do so over the whole run, but steps its scheduler once in
    50,000 gradient steps, so that the published numbers come from constant rates.
    """
    learning_rate_decay_interval: Interval = 1
    """Gradient steps between two moves along that cosine.

    The released code's own curve: 50,000 here and 50,000 x epochs as decay steps.
    """

    def __post_init__(self) -> None:
        faults = list(self.contradictions())
        if faults:
            raise ValueError("; ".join(faults))

    def contradictions(self) -> Iterator[str]:
        """Name the settings that do not fit together, each of them in its range."""
        values = vars(self)
        for low in (name for name in values if name.endswith("_min")):
            high = f"{low.removesuffix('_min')}_max"
            if not values[low] < values[high]:
                yield f"{low}, {values[low]}, is not below {high}, {values[high]}"


@dataclass(frozen=True, kw_only=True)
class BCMLESettings(AgentSettings):
    """Behaviour cloning by maximum likelihood with a diagonal Gaussian."""

    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    log_std_min: LogScale = -20.0
    log_std_max: LogScale = 2.0
    clip_actions: Flag = True  # to [-1, 1], as D4RL's environments do


@dataclass(frozen=True, kw_only=True)
class BCMDNSettings(AgentSettings):
    """Behaviour cloning with a mixture density network; sizes as in TD3_BC_G."""

    num_components: Size = 3  # K; the authors' code of the mixture ablation, TD3_BC_G
    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"  # TD3_BC_G: sigmoid, and the weights a net apart
    learning_rate: StepSize = 3e-4
    log_std_min: LogScale = -5.0
    """A mixture's likelihood has no maximum: a component may shrink onto one action.

    TD3_BC_G sets no bound. This one is BEAR's: a deviation of 0.0067.
    """
    log_std_max: LogScale = 2.0


@dataclass(frozen=True, kw_only=True)
class BCCVAESettings(AgentSettings):
    """Behaviour cloning with BCQ's conditional VAE (paper, Table 2: BC-CVAE)."""

    hidden_dim: Size = 500  # the authors' first release, agents/bc_cvae.py
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    latent_dim_per_action: Size = 2
    kl_coefficient: NonNegative = 0.5
    latent_clip: NonNegative = 0.5  # the prior is sampled within +-0.5, as BCQ does


@dataclass(frozen=True, kw_only=True)
class BCMMDSettings(BCCVAESettings):
    """Behaviour cloning by BEAR's MMD distance to a CVAE of the data."""

    num_mmd_samples: Size = 10
    mmd_bandwidth: Positive = 20.0
    log_std_min: LogScale = -5.0
    log_std_max: LogScale = 2.0
    actor_noise_clip: NonNegative = 0.5  # of the Gaussian noise, in training only


@dataclass(frozen=True, kw_only=True)
class CVAEQLSettings(BCCVAESettings):
    """CVAE-QL (paper, Table 2); the authors' first release, agents/ql_cvae.py.

    Which eta the row was made with is not published: Diffusion-QL's for Gym.
    """

    hidden_dim: Size = 256  # of the critics
    behavior_hidden_dim: Size = 500
    q_coefficient: NonNegative = 1.0  # eta
    q_normalizer: Literal["as_released", "paper"] = "as_released"
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    max_q_backup: Flag = False
    num_backup_samples: Size = 10
    actor_ema_decay: Probability = 0.995
    actor_ema_interval: Interval = 5
    actor_ema_start: Steps = 1000


@dataclass(frozen=True, kw_only=True)
class TD3BCSettings(AgentSettings):
    """TD3+BC (Fujimoto and Gu, 2021); defaults are its Table 3."""

    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    q_coefficient: NonNegative = 2.5  # alpha
    target_noise: NonNegative = 0.2
    target_noise_clip: NonNegative = 0.5
    actor_interval: Interval = 2
    normalize_observations: Flag = True


@dataclass(frozen=True, kw_only=True)
class QLMLESettings(AgentSettings):
    """Gaussian policy with a likelihood and a Q term: the toy code's "TD3+BC"."""

    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    q_coefficient: NonNegative = 2.5
    log_std_min: LogScale = -20.0
    log_std_max: LogScale = 2.0


@dataclass(frozen=True, kw_only=True)
class QLMDNSettings(BCMDNSettings):
    """TD3+BC with a mixture policy; as TD3+BC, which TD3_BC_G is a copy of.

    Its last version smooths no target actions: they are samples already.
    """

    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    q_coefficient: NonNegative = 2.5  # alpha
    actor_interval: Interval = 2
    normalize_observations: Flag = True
    q_gradient: Literal["reparameterized", "as_released"] = "reparameterized"
    """`as_released`: the Q term sends the actor no gradient, as in TD3_BC_G."""


@dataclass(frozen=True, kw_only=True)
class BCQSettings(AgentSettings):
    """BCQ (Fujimoto et al., 2019), continuous actions; defaults are its appendix."""

    hidden_dim: Size = 400  # of the critics and the perturbation model
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    behavior_hidden_dim: Size = 750
    latent_dim_per_action: Size = 2
    kl_coefficient: NonNegative = 0.5
    latent_clip: NonNegative = 0.5
    learning_rate: StepSize = 1e-3
    critic_learning_rate: StepSize = 1e-3
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    minimum_weight: Probability = 0.75  # lambda: weight of the smaller target critic
    max_perturbation: NonNegative = 0.05  # Phi
    num_backup_samples: Size = 10
    num_candidates: Size = 100
    action_rule: Literal["greedy", "behavior"] = "greedy"


@dataclass(frozen=True, kw_only=True)
class BEARMMDSettings(BCMMDSettings):
    """BEAR with an MMD constraint (Kumar et al., 2019), dual gradient descent."""

    hidden_dim: Size = 256
    behavior_hidden_dim: Size = 750
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    minimum_weight: Probability = 0.75
    num_backup_samples: Size = 10
    num_candidates: Size = 10
    mmd_threshold: NonNegative = 0.05
    multiplier_learning_rate: StepSize = 1e-3
    log_multiplier_min: LogScale = -5.0
    log_multiplier_max: LogScale = 10.0
