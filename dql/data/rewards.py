"""Rewards as agents learn from them: the environment's, shifted and scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np

from dql.config.schema import RewardTransform
from dql.data.datasets import Dataset
from dql.data.episodes import episode_starts
from dql.errors import UserError, nearest

Transform = Callable[[np.ndarray], np.ndarray]
"""Rewards (n,) to those an agent trains on, float32, (n,)."""

RETURN_RANGE = 1000.0
"""Between the worst and the best episode of D4RL's locomotion, as IQL is trained."""


def reward_transform(name: str, recorded: Dataset) -> Transform:
    """Return a transform; moments and returns are those of the `recorded` rows.

    `normalize` and `cql_antmaze` are Diffusion-QL's, `iql_locomotion` and `iql_antmaze`
    those of IQL's released code, under the names of Diffusion-QL's release. Raises
    UserError for an unknown name, and for data that do not tell a scale.
    """
    known = get_args(RewardTransform)
    if name not in known:
        raise UserError(f"unknown reward_transform {name!r}{nearest(name, known)}")
    return {
        "none": lambda _: _unchanged,
        "normalize": _normalize,
        "cql_antmaze": lambda _: _cql_antmaze,
        "iql_antmaze": lambda _: _iql_antmaze,
        "iql_locomotion": _iql_locomotion,
    }[name](recorded)


def _unchanged(rewards: np.ndarray) -> np.ndarray:
    return rewards


def _cql_antmaze(rewards: np.ndarray) -> np.ndarray:
    return ((rewards - 0.5) * 4.0).astype(np.float32)


def _iql_antmaze(rewards: np.ndarray) -> np.ndarray:
    return (rewards - 1.0).astype(np.float32)


def _normalize(recorded: Dataset) -> Transform:
    """Divide by the deviation, the unbiased one, as the release does."""
    values = recorded.rewards.astype(np.float64)
    if np.ptp(values) == 0:
        raise UserError(
            f"every reward is {values[0]:g}: reward_transform 'normalize' has no "
            "deviation to divide by; set it to 'none' in tasks.yaml"
        )
    mean, std = values.mean(), values.std(ddof=1)
    return lambda rewards: ((rewards.astype(np.float64) - mean) / std).astype(
        np.float32
    )


def _iql_locomotion(recorded: Dataset) -> Transform:
    """Scale rewards so that the episodes' returns span 1000."""
    starts = np.flatnonzero(episode_starts(recorded))
    returns = np.add.reduceat(recorded.rewards.astype(np.float64), starts)
    span = np.ptp(returns)
    if span == 0:
        raise UserError(
            f"every episode returns {returns[0]:g}: reward_transform 'iql_locomotion' "
            "has no range to divide by; set it to 'none' in methods.yaml"
        )
    scale = RETURN_RANGE / span
    return lambda rewards: (rewards.astype(np.float64) * scale).astype(np.float32)
