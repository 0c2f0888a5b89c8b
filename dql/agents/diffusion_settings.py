"""Hyperparameters of the agents with a diffusion model; see `settings.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dql.agents.settings import Activation, AgentSettings


@dataclass(frozen=True, kw_only=True)
class DiffusionSettings(AgentSettings):
    """A conditional diffusion model (Section 3); defaults are Diffusion-QL's."""

    hidden_dim: int = 256
    learning_rate: float = 3e-4
    num_denoising_steps: int = 5
    beta_schedule: Literal["vp", "linear", "cosine"] = "vp"
    prediction: Literal["noise", "action"] = "noise"
    time_embedding_dim: int = 16


@dataclass(frozen=True, kw_only=True)
class BCDiffusionSettings(DiffusionSettings):
    """Behaviour cloning with a conditional diffusion model (Section 3)."""

    max_gradient_norm: float | None = None


@dataclass(frozen=True, kw_only=True)
class GuidedDiffusionSettings(BCDiffusionSettings):
    """A diffusion actor trained on critics: what Diffusion-QL and EDP share."""

    q_coefficient: float = 1.0  # eta
    critic_learning_rate: float = 3e-4
    discount: float = 0.99
    polyak_step_size: float = 0.005
    max_q_backup: bool = False
    num_backup_samples: int = 10
    actor_ema_decay: float = 0.995
    actor_ema_interval: int = 5
    actor_ema_start: int = 1000
    num_candidates: int = 50
    candidate_rule: Literal["softmax", "greedy"] = "softmax"
    evaluation_actor: Literal["online", "ema"] = "online"


@dataclass(frozen=True, kw_only=True)
class DiffusionQLSettings(GuidedDiffusionSettings):
    """Diffusion-QL (Algorithm 1); defaults are what produced the published numbers."""

    q_normalizer: Literal["as_released", "paper"] = "as_released"
    num_backpropagated_steps: int | None = None
    """Last reverse steps through which the Q term's gradient flows; None: all of them.

    The released toy code offers 5, as its mode "last_few".
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_backpropagated_steps
        if count is not None and not 1 <= count <= self.num_denoising_steps:
            raise ValueError(
                f"num_backpropagated_steps is {count}; set it from 1 to"
                f" num_denoising_steps, {self.num_denoising_steps}, or to null for all"
            )


@dataclass(frozen=True, kw_only=True)
class EDPSettings(GuidedDiffusionSettings):
    """EDP (Kang et al., 2023) with TD3's losses; the release's values for locomotion.

    Its clipping thresholds per task are Diffusion-QL's.
    """

    num_denoising_steps: int = 1000  # the release, with its fast sampler
    beta_schedule: Literal["vp", "linear", "cosine"] = "linear"  # made for N = 1000
    q_coefficient: float = 2.0  # alpha
    num_solver_steps: int = 15
    """Calls of the network per action; at most N, which is what a smaller N gets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_solver_steps < 1:
            raise ValueError("num_solver_steps must be at least 1")


@dataclass(frozen=True, kw_only=True)
class IDQLSettings(BCDiffusionSettings):
    """IDQL (Hansen-Estruch et al., 2023); the release's values for D4RL.

    Left out: the clone's residual network with layer normalisation and dropout of 0.1,
    its cosine decay over 3 million steps, and its two steps, on batches of 512, for
    every step of the critics.
    """

    time_embedding_dim: int = 64  # there learned Fourier features
    critic_num_hidden_layers: int = 2  # of Q and V
    activation: Activation = "relu"  # of Q and V
    critic_learning_rate: float = 3e-4  # of Q and V
    discount: float = 0.99
    polyak_step_size: float = 0.005
    actor_polyak_step_size: float = 0.001
    expectile: float = 0.7  # tau
    num_candidates: int = 64  # N; it compares 16, 64 and 256
    candidate_rule: Literal["greedy", "expectile"] = "greedy"
    evaluation_actor: Literal["ema", "online"] = "ema"


@dataclass(frozen=True, kw_only=True)
class DTQLSettings(DiffusionSettings):
    """DTQL (Chen et al., 2024); the release's values for locomotion.

    Coefficients differ by task there (`workflow/config/methods.yaml`); 5 is the most
    frequent. Its batches hold 2048 transitions on AntMaze, 256 elsewhere.
    """

    num_denoising_steps: int = 1000  # stands for continuous noise levels
    num_hidden_layers: int = 3  # of the one-step policy
    actor_activation: Activation = "relu"
    log_std_min: float = -5.0
    log_std_max: float = 2.0
    critic_num_hidden_layers: int = 3  # of Q and V
    activation: Activation = "mish"  # of Q and V
    critic_learning_rate: float = 3e-4  # of Q and V
    discount: float = 0.99
    polyak_step_size: float = 0.005
    expectile: float = 0.7
    trust_region_coefficient: float = 5.0  # alpha
    likelihood_coefficient: float = 0.0  # gamma
    num_pretraining_steps: int = 50_000
    """First steps, in which the clone and the critics train and the policy does not."""
    num_candidates: int = 1024
    candidate_rule: Literal["softmax", "greedy"] = "softmax"


@dataclass(frozen=True, kw_only=True)
class BCQDiffusionSettings(AgentSettings):
    """BCQ with a diffusion model (paper, Table 2), of which nothing was published.

    The behaviour policy's values are those of Diffusion-QL, all others those of BCQ.
    """

    hidden_dim: int = 400  # of the critics and the perturbation model
    num_hidden_layers: int = 2
    activation: Activation = "relu"
    behavior_hidden_dim: int = 256
    behavior_learning_rate: float = 3e-4
    num_denoising_steps: int = 5
    beta_schedule: Literal["vp", "linear", "cosine"] = "vp"
    prediction: Literal["noise", "action"] = "noise"
    time_embedding_dim: int = 16
    learning_rate: float = 1e-3
    critic_learning_rate: float = 1e-3
    discount: float = 0.99
    polyak_step_size: float = 0.005
    minimum_weight: float = 0.75  # lambda: weight of the smaller target critic
    max_perturbation: float = 0.05  # Phi
    num_backup_samples: int = 10
    num_candidates: int = 100
    action_rule: Literal["greedy", "behavior"] = "greedy"
