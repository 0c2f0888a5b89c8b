"""Hyperparameters of the agents with a diffusion model; see `settings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dql.agents.ranges import (
    EmbeddingDim,
    Expectile,
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
from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class DiffusionSettings(AgentSettings):
    """A conditional diffusion model (Section 3); defaults are Diffusion-QL's."""

    hidden_dim: Size = 256
    learning_rate: StepSize = 3e-4
    num_denoising_steps: Size = 5
    beta_schedule: Literal["vp", "linear", "cosine"] = "vp"
    prediction: Literal["noise", "action"] = "noise"
    time_embedding_dim: EmbeddingDim = 16


@dataclass(frozen=True, kw_only=True)
class BCDiffusionSettings(DiffusionSettings):
    """Behaviour cloning with a conditional diffusion model (Section 3)."""

    max_gradient_norm: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class GuidedSettings(AgentSettings):
    """A generative actor trained on critics; defaults are Diffusion-QL's."""

    q_coefficient: NonNegative = 1.0  # eta
    critic_learning_rate: StepSize = 3e-4
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    max_q_backup: Flag = False
    num_backup_samples: Size = 10
    actor_ema_decay: Probability = 0.995
    actor_ema_interval: Interval = 5
    actor_ema_start: Steps = 1000
    num_candidates: Size = 50
    candidate_rule: Literal["softmax", "greedy"] = "softmax"
    evaluation_actor: Literal["online", "ema"] = "online"


@dataclass(frozen=True, kw_only=True)
class GuidedDiffusionSettings(GuidedSettings, BCDiffusionSettings):
    """A diffusion actor trained on critics: what Diffusion-QL and EDP share."""


@dataclass(frozen=True, kw_only=True)
class DiffusionQLSettings(GuidedDiffusionSettings):
    """Diffusion-QL (Algorithm 1); defaults are what produced the published numbers."""

    q_normalizer: Literal["as_released", "paper"] = "as_released"
    num_backpropagated_steps: Size | None = None
    """Last reverse steps through which the Q term's gradient flows; None: all of them.

    The released toy code offers 5, as its mode "last_few".
    """

    def contradictions(self) -> Iterator[str]:
        """Name the settings that do not fit together, each of them in its range."""
        yield from super().contradictions()
        count = self.num_backpropagated_steps
        if count is not None and count > self.num_denoising_steps:
            yield (
                f"num_backpropagated_steps is {count}; set it from 1 to"
                f" num_denoising_steps, {self.num_denoising_steps}, or to null for all"
            )


@dataclass(frozen=True, kw_only=True)
class EDPSettings(GuidedDiffusionSettings):
    """EDP (Kang et al., 2023) with TD3's losses; the release's values for locomotion.

    Its clipping thresholds per task are Diffusion-QL's.
    """

    num_denoising_steps: Size = 1000  # the release, with its fast sampler
    beta_schedule: Literal["vp", "linear", "cosine"] = "linear"  # made for N = 1000
    q_coefficient: NonNegative = 2.0  # alpha
    num_solver_steps: Size = 15
    """Calls of the network per action; at most N, which is what a smaller N gets."""


@dataclass(frozen=True, kw_only=True)
class IDQLSettings(BCDiffusionSettings):
    """IDQL (Hansen-Estruch et al., 2023); the release's values for D4RL.

    Left out: the clone's residual network with layer normalisation and dropout of 0.1,
    its cosine decay over 3 million steps, and its two steps, on batches of 512, for
    every step of the critics.
    """

    time_embedding_dim: EmbeddingDim = 64  # there learned Fourier features
    critic_num_hidden_layers: Size = 2  # of Q and V
    activation: Activation = "relu"  # of Q and V
    critic_learning_rate: StepSize = 3e-4  # of Q and V
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    actor_polyak_step_size: StepSize = 0.001
    expectile: Expectile = 0.7  # tau
    num_candidates: Size = 64  # N; it compares 16, 64 and 256
    candidate_rule: Literal["greedy", "expectile"] = "greedy"
    evaluation_actor: Literal["ema", "online"] = "ema"


@dataclass(frozen=True, kw_only=True)
class FasterSettings(BCDiffusionSettings):
    """FASTER on IDQL (Dong et al., 2026); defaults are those of its released code.

    Its tasks are manipulation, online or from batches; it has no values for D4RL.
    """

    num_denoising_steps: Size = 10
    time_embedding_dim: EmbeddingDim = 64
    critic_num_hidden_layers: Size = 3  # of Q, V and W
    activation: Activation = "relu"  # of Q, V and W
    critic_learning_rate: StepSize = 3e-4  # of Q, V and W
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    actor_polyak_step_size: StepSize = 0.001
    expectile: Expectile = 0.8  # tau
    num_candidates: Size = 8  # N
    num_training_candidates: Size = 8  # train_N
    evaluation_actor: Literal["ema", "online"] = "ema"


@dataclass(frozen=True, kw_only=True)
class DTQLSettings(DiffusionSettings):
    """DTQL (Chen et al., 2024); the release's values for locomotion.

    Coefficients differ by task there (`workflow/config/methods.yaml`); 5 is the most
    frequent. Its batches hold 2048 transitions on AntMaze, 256 elsewhere.
    """

    PREPARATION = ("num_pretraining_steps",)

    num_denoising_steps: Size = 1000  # stands for continuous noise levels
    num_hidden_layers: Size = 3  # of the one-step policy
    actor_activation: Activation = "relu"
    log_std_min: LogScale = -5.0
    log_std_max: LogScale = 2.0
    critic_num_hidden_layers: Size = 3  # of Q and V
    activation: Activation = "mish"  # of Q and V
    critic_learning_rate: StepSize = 3e-4  # of Q and V
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    expectile: Expectile = 0.7
    trust_region_coefficient: NonNegative = 5.0  # alpha
    likelihood_coefficient: NonNegative = 0.0  # gamma
    num_pretraining_steps: Steps = 50_000
    """First steps, in which the clone and the critics train and the policy does not."""
    num_candidates: Size = 1024
    candidate_rule: Literal["softmax", "greedy"] = "softmax"


@dataclass(frozen=True, kw_only=True)
class BCQDiffusionSettings(AgentSettings):
    """BCQ with a diffusion model (paper, Table 2), of which nothing was published.

    The behaviour policy's values are those of Diffusion-QL, all others those of BCQ.
    """

    hidden_dim: Size = 400  # of the critics and the perturbation model
    num_hidden_layers: Size = 2
    activation: Activation = "relu"
    behavior_hidden_dim: Size = 256
    behavior_learning_rate: StepSize = 3e-4
    num_denoising_steps: Size = 5
    beta_schedule: Literal["vp", "linear", "cosine"] = "vp"
    prediction: Literal["noise", "action"] = "noise"
    time_embedding_dim: EmbeddingDim = 16
    learning_rate: StepSize = 1e-3
    critic_learning_rate: StepSize = 1e-3
    discount: Probability = 0.99
    polyak_step_size: StepSize = 0.005
    minimum_weight: Probability = 0.75  # lambda: weight of the smaller target critic
    max_perturbation: NonNegative = 0.05  # Phi
    num_backup_samples: Size = 10
    num_candidates: Size = 100
    action_rule: Literal["greedy", "behavior"] = "greedy"
