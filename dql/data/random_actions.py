"""Local data of uniform random actions, in the simulator that other data come from.

What a random action leads to cannot be told from recorded rows, only played. These
rows are played once, and the variants of a task's data take theirs from here
(`dql.data.variants`). D4RL's own random sets are another policy's: a network's, freshly
initialised.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.behavior.rollout import RandomActions
from dql.config.data_schema import PolicyPart
from dql.data.minari_files import DIMENSIONS, Episode
from dql.data.policy_rows import (
    LICENCE,
    VERSIONED,
    Environments,
    roll_out_part,
    write_rows,
)
from dql.environments.locomotion import LOCOMOTION
from dql.errors import UserError, nearest
from dql.results.manifests import DEFAULT_NUM_TRANSITIONS, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

QUALITY = "random"
BATCH_SIZE = 50
"""Always the same, so that a variant keeps its rows where more are rolled out."""


def generate(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Write random actions' episodes as the task's dataset; return its manifest."""
    if task.dataset.source != "local" or task.dataset.quality != QUALITY:
        raise refuse_source(task, "generate")
    if task.environment not in LOCOMOTION:
        raise UserError(
            f"task '{task.name}': random actions are rolled out in "
            f"{', '.join(LOCOMOTION)} alone, not in '{task.environment}'"
            f"{nearest(task.environment, LOCOMOTION)}"
        )
    num_transitions = task.dataset.num_transitions or DEFAULT_NUM_TRANSITIONS
    episodes = roll_out_random(task, num_transitions)
    return write_rows(task, episodes, num_transitions, _describe(task), root)


def roll_out_random(task: TaskConfig, num_transitions: int) -> Iterator[Episode]:
    """Yield exactly `num_transitions` rows, the first of any larger number.

    The last episode may be cut.
    """
    stream = zlib.crc32(QUALITY.encode())
    generator = np.random.default_rng([task.dataset.seed, stream])
    policy = RandomActions(DIMENSIONS[task.environment][1])
    part = PolicyPart(policy=QUALITY, share=1.0)
    yield from roll_out_part(
        Environments(task),
        part,
        policy,
        num_transitions,
        generator,
        batch_size=BATCH_SIZE,
    )


def _describe(task: TaskConfig) -> dict[str, Any]:
    return {
        "source": "local",
        "description": f"uniform random actions in {task.environment}; not D4RL's",
        "algorithm_name": "uniform random actions",
        "licence": LICENCE,
        "reference_scores": None,
        "environment": task.environment,
        "horizon": task.horizon,
        "physics": task.physics,
        "generator": {"quality": QUALITY, "seed": task.dataset.seed},
        "versions": {name: versions()[name] for name in VERSIONED},
    }
