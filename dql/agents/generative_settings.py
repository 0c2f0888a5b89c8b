"""Hyperparameters of the other generative policies; see `settings.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dql.agents.diffusion_settings import GuidedSettings
from dql.agents.ranges import (
    BoundedDiscount,
    EmbeddingDim,
    Expectile,
    Flag,
    Interval,
    NonNegative,
    Positive,
    Size,
    StepSize,
)
from dql.agents.regularized_settings import FQLSettings
from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class FlowQLSettings(GuidedSettings):
    """Diffusion-QL with a flow: FBRAC, a rival in Flow Q-learning (Park et al., 2025).

    Everything but the policy's class is Diffusion-QL's. The steps of the integration
    are FQL's and FBRAC's.
    """

    hidden_dim: Size = 256
    num_hidden_layers: Size = 3  # of the velocity, as Diffusion-QL's noise predictor
    activation: Activation = "mish"
    learning_rate: StepSize = 3e-4
    num_flow_steps: Size = 10
    max_gradient_norm: Positive | None = None
    q_normalizer: Literal["as_released", "paper"] = "as_released"


@dataclass(frozen=True, kw_only=True)
class ConsistencyQLSettings(GuidedSettings):
    """Consistency-AC (Ding and Jin, 2023); the release's values for D4RL.

    What differs by task there stands in `workflow/config/methods.yaml`.
    """

    hidden_dim: Size = 256
    time_embedding_dim: EmbeddingDim = 16
    learning_rate: StepSize = 3e-4
    num_sampling_steps: Size = 2  # n_timesteps
    loss_weight: Literal["none", "interval"] = "interval"  # scale_consis_loss
    num_curriculum_steps: Interval = 50_000
    """Steps over which the noise levels grow from 2 to 150, before they begin anew.

    The release counts within the steps between two evaluations.
    """
    normalize_targets: Flag = False  # q_norm: the targets of Q, by their deviation
    max_gradient_norm: Positive | None = None
    q_normalizer: Literal["as_released", "paper"] = "as_released"


@dataclass(frozen=True, kw_only=True)
class BeTSettings(AgentSettings):
    """Behavior Transformer (Shafiullah et al., 2022) on single observations.

    Bins and loss as released for block pushing; the network is the other clones'.
    """

    num_bins: Size = 24  # K
    focal_exponent: NonNegative = 2.0  # gamma
    offset_coefficient: NonNegative = 1.0
    """alpha, there offset_loss_scale: 1, but for tasks whose actions are very small."""
    num_binning_steps: Interval = 500
    """First steps, in which the centres move. The release runs 50 rounds of k-means."""
    hidden_dim: Size = 256
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    learning_rate: StepSize = 3e-4


@dataclass(frozen=True, kw_only=True)
class FisherDecoratorSettings(FQLSettings):
    """Fisher Decorator (Wang et al., 2026); defaults are those of its released code.

    Networks, rates and critics are FQL's, whose alpha the multiplier begins at.
    """

    distillation_coefficient: Positive = 10.0  # alpha at first
    target_divergence: NonNegative = 1e-3  # of the quadratic form, a dimension
    num_fisher_samples: Size = 4  # a state
    fisher_time: Expectile = 0.95  # t, at which the flow's score is asked
    fisher_damping: Positive = 1e-3


@dataclass(frozen=True, kw_only=True)
class PCBFSettings(AgentSettings):
    """Path-coupled Bellman flows (Xu et al., 2026); defaults are its release's."""

    hidden_dim: Size = 512
    num_hidden_layers: Size = 4
    activation: Activation = "gelu"
    learning_rate: StepSize = 3e-4
    critic_learning_rate: StepSize = 3e-4
    discount: BoundedDiscount = 0.99  # returns are clipped to their bound
    polyak_step_size: StepSize = 0.005
    num_flow_steps: Size = 10  # of actions and of returns
    num_candidates: Size = 16
    control_coefficient: NonNegative = 0.8
    """lambda, chosen by task; this is D4RL's hammer-cloned. Without: 0."""
