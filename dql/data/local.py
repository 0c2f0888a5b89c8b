"""Local datasets by D4RL's recipe: snapshots of SAC's training rolled out by draws.

`medium` is the medium policy's, `medium-expert` half of it and half of the expert's.
`medium-replay` stands for the replay buffer when the medium policy was reached, which
is not kept: random actions, then snapshots up to that policy, each as much. Every
random number comes from the dataset's seed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dql import paths
from dql.behavior.kept import POLICIES_FILE
from dql.behavior.policies import Behavior, load_behavior
from dql.behavior.rollout import Policy, RandomActions
from dql.config.data_schema import PolicyPart
from dql.data.minari_files import DIMENSIONS
from dql.data.policy_rows import part_sizes, roll_out_parts, write_rows
from dql.errors import UserError, nearest
from dql.results.manifests import DEFAULT_NUM_TRANSITIONS, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

QUALITIES = {
    "medium": ("medium",),
    "medium-replay": ("medium-replay",),
    "medium-expert": ("medium", "expert"),
}
RANDOM = "random"
VERSIONED = ("gymnasium", "minari", "mujoco", "numpy")
LICENCE = "made by this workflow, under its licence"


class Mixture(NamedTuple):
    """The parts of a dataset in their order, and the policy of each."""

    parts: list[PolicyPart]
    policies: list[Policy]


def generate(
    task: TaskConfig,
    behavior_folder: Path | None = None,
    root: Path = paths.DATASETS,
) -> dict[str, Any]:
    """Roll out a local task's dataset, write it and its manifest; return the latter."""
    if task.dataset.source != "local":
        raise refuse_source(task, "generate")
    if task.dataset.quality not in QUALITIES:
        raise UserError(
            f"task '{task.name}': unknown quality {task.dataset.quality!r}"
            f"{nearest(task.dataset.quality, QUALITIES)}"
        )
    folder = behavior_folder or paths.behavior_directory(task.environment)
    behavior = load_behavior(folder, task.environment)
    if behavior.summary["physics"] != task.physics:
        raise UserError(
            f"task '{task.name}' wants physics {task.physics!r}, the policies in "
            f"{folder} are from {behavior.summary['physics']!r}; make them again with: "
            f"dql data behavior {task.environment}"
        )
    num_transitions = task.dataset.num_transitions or DEFAULT_NUM_TRANSITIONS
    parts, policies = mix(task, behavior)
    episodes = roll_out_parts(task, parts, policies, num_transitions)
    sizes = part_sizes(parts, num_transitions)
    description = _describe(task, behavior, folder)
    description["generator"]["parts"] = [
        {"policy": part.policy, "num_transitions": size}
        for part, size in zip(parts, sizes, strict=True)
    ]
    return write_rows(task, episodes, num_transitions, description, root)


def mix(task: TaskConfig, behavior: Behavior) -> Mixture:
    """Return who acts in a task's data, and in which share of the rows.

    The qualities that a dataset is of have equal shares of what random actions leave,
    and so have the snapshots of a quality.
    """
    mixture, left = Mixture([], []), 1.0
    qualities = QUALITIES[task.dataset.quality]
    if task.dataset.quality == "medium-replay":
        (medium,) = behavior.serving("medium")
        random_share = behavior.summary["budget"]["start_steps"] / medium
        mixture.parts.append(PolicyPart(policy=RANDOM, share=random_share))
        mixture.policies.append(RandomActions(DIMENSIONS[task.environment][1]))
        left -= random_share
    for quality in qualities:
        steps = behavior.serving(quality)
        for step in steps:
            share = left / len(qualities) / len(steps)
            mixture.parts.append(PolicyPart(policy=f"sac-{step}", share=share))
            mixture.policies.append(behavior.policies[step])
    return mixture


def _describe(task: TaskConfig, behavior: Behavior, folder: Path) -> dict[str, Any]:
    policies = (folder / POLICIES_FILE).read_bytes()
    return {
        "source": "local",
        "description": f"{task.dataset.quality} data of {task.environment} from "
        "snapshots of SAC's training; not D4RL's",
        "algorithm_name": "soft actor-critic",
        "licence": LICENCE,
        "reference_scores": behavior.summary["reference_scores"],
        "environment": task.environment,
        "horizon": task.horizon,
        "physics": task.physics,
        "generator": {
            "quality": task.dataset.quality,
            "seed": task.dataset.seed,
            "policies_sha256": hashlib.sha256(policies).hexdigest(),
            "policies": behavior.summary["policies"],
            "budget": behavior.summary["budget"],
        },
        "versions": {name: versions()[name] for name in VERSIONED},
    }
