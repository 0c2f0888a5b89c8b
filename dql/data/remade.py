"""D4RL's Gym sets made again: published policies rolled out in D4RL's physics.

Clones of the recorded actions act in the simulator that the sets were recorded in; the
task lists the policies and their shares. These data are D4RL's in name, size and, as
`dql data compare` measures, in distribution, and none of D4RL's rows is in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.data.policy_rows import part_sizes, roll_out_parts, write_rows
from dql.data.published_policies import load_policy
from dql.data.remade_description import describe
from dql.results.manifests import refuse_source

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

VERSIONED = ("gymnasium", "minari", "mujoco", "numpy", "torch")


def generate(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Roll out a remade task, write its dataset and manifest; return the latter."""
    if task.dataset.source != "remade":
        raise refuse_source(task, "generate")
    parts, num_transitions = task.dataset.parts, task.dataset.num_transitions
    policies = [load_policy(part.policy, task.environment) for part in parts]
    episodes = roll_out_parts(task, parts, policies, num_transitions)
    return write_rows(task, episodes, num_transitions, _describe(task), root)


def _describe(task: TaskConfig) -> dict[str, Any]:
    return describe(
        task,
        how=f": published policies rolled out in {task.physics} physics",
        by="published diffusion clones and policies",
        sizes=part_sizes(task.dataset.parts, task.dataset.num_transitions),
        versioned=VERSIONED,
    )
