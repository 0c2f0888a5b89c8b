"""What policies return, and which snapshots of a training serve which quality of data.

`expert` is the end of the training, `medium` the first snapshot that returns a third of
the best. `medium-replay` is the replay buffer when the medium policy was reached.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from dql.behavior.rollout import Disturbance, Policy, RandomActions, roll_out
from dql.environments.batch import BatchEnvironment
from dql.environments.locomotion import LocomotionEnvironment

MEDIUM_SHARE = 1 / 3
"""A medium policy reaches this share of the best return."""
NUM_REFERENCE_EPISODES = 100
"""Of random actions and of each policy that serves: scores are normalised by them."""


def returns(
    policy: Policy, environment: BatchEnvironment, seed: int, purpose: str
) -> np.ndarray:
    """Return those of an episode in each environment, (E,), undiscounted.

    Policies asked with the same seed for the same purpose begin in the same states.
    """
    generator = np.random.default_rng([seed, zlib.crc32(purpose.encode())])
    undisturbed = Disturbance.none(environment.num_environments)
    return roll_out(environment, policy, undisturbed, generator).returns


def random_return(environment: str, physics: str, seed: int) -> float:
    """Return the mean return of uniformly random actions."""
    batch = LocomotionEnvironment(environment, NUM_REFERENCE_EPISODES, physics=physics)
    policy = RandomActions(batch.action_dim)
    return float(returns(policy, batch, seed, "random actions").mean())


def choose(mean_returns: Sequence[float]) -> dict[str, int]:
    """Return the place of the snapshot that serves each quality.

    `mean_returns` are of the snapshots' draws, from the first to the last.
    """
    best = max(mean_returns)
    # No less than a negative best: a training that learned nothing still has a medium.
    threshold = MEDIUM_SHARE * best if best > 0 else best
    medium = next(i for i, value in enumerate(mean_returns) if value >= threshold)
    return {"medium": medium, "expert": len(mean_returns) - 1}
