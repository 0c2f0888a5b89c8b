"""Local datasets by D4RL's recipe: behavior policies rolled out with action noise.

`medium` mixes the medium policies in equal parts, `medium-expert` gives half to them
and half to the experts, `medium-replay` replays what the searches went through up to
their medium policies. Every random number comes from the dataset's seed.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.bars import progress_bar
from dql.behavior.linear import LinearPolicies, roll_out, stack_policies
from dql.behavior.policies import POLICIES_FILE, Behavior, load_behavior
from dql.behavior.search import perturbed
from dql.data.episode_rows import cut, split
from dql.data.minari_files import DIMENSIONS, Episode, counted, write_dataset
from dql.environments.locomotion import LocomotionEnvironment, environment_spec
from dql.errors import UserError, nearest
from dql.results.manifests import DEFAULT_NUM_TRANSITIONS, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

QUALITIES = {
    "medium": ("medium",),
    "medium-replay": ("replay",),
    "medium-expert": ("medium", "expert"),
}
BATCH_SIZE = 10
VERSIONED = ("gymnasium", "minari", "mujoco", "numpy")
LICENCE = "made by this workflow, under its licence"


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
    behavior = load_behavior(folder)
    if behavior.summary["physics"] != task.physics:
        raise UserError(
            f"task '{task.name}' wants physics {task.physics!r}, the policies in "
            f"{folder} are from {behavior.summary['physics']!r}; make them again with: "
            f"dql data behavior {task.environment}"
        )
    num_transitions = task.dataset.num_transitions or DEFAULT_NUM_TRANSITIONS
    with progress_bar(f"rolling out {task.name}", num_transitions) as progress:
        manifest = write_dataset(
            task.name,
            counted(roll_out_quality(task, behavior, num_transitions), progress),
            root=root,
            dimensions=DIMENSIONS[task.environment],
            description=_describe(task, behavior, folder),
            environment_spec=environment_spec(
                task.environment, task.physics, task.horizon
            ),
        )
    logger.info(
        "%s: %d transitions, mean return %.0f",
        task.name,
        manifest["num_transitions"],
        manifest["episode_return"]["mean"] or float("nan"),
    )
    return manifest


def roll_out_quality(
    task: TaskConfig, behavior: Behavior, num_transitions: int
) -> Iterator[Episode]:
    """Yield exactly `num_transitions` rows; the last episode of a policy may be cut."""
    parts = policy_parts(task.dataset.quality, behavior)
    bounds = np.linspace(0, num_transitions, len(parts) + 1).round().astype(int)
    for (label, policies), num_rows in zip(parts, np.diff(bounds), strict=True):
        generator = np.random.default_rng([task.dataset.seed, zlib.crc32(label)])
        yield from _roll_out_part(task, behavior, policies, int(num_rows), generator)


def policy_parts(
    quality: str, behavior: Behavior
) -> list[tuple[bytes, LinearPolicies]]:
    """Return the groups of policies that share a dataset's rows equally."""
    if quality == "medium-replay":
        return [(b"replay", behavior.replay)]
    parts = []
    entries = behavior.summary["policies"]
    rows = {
        wanted: [i for i, entry in enumerate(entries) if entry["quality"] == wanted]
        for wanted in QUALITIES[quality]
    }
    # Two qualities take half each however many policies they have: repeat both lists
    # to a common length.
    length = int(np.lcm.reduce([len(found) for found in rows.values()]))
    for wanted, found in rows.items():
        for part in range(length):
            row = found[part % len(found)]
            label = f"{wanted} {part}".encode()
            parts.append((label, behavior.policies.select([row])))
    return parts


def _roll_out_part(
    task: TaskConfig,
    behavior: Behavior,
    policies: LinearPolicies,
    num_rows: int,
    generator: np.random.Generator,
) -> Iterator[Episode]:
    """Yield `num_rows` rows of episodes, going round the policies in random order."""
    waiting: list[int] = []
    while num_rows > 0:
        batch_size = min(BATCH_SIZE, num_rows)
        while len(waiting) < batch_size:
            waiting += generator.permutation(len(policies)).tolist()
        chosen = policies.select(waiting[:batch_size])
        waiting = waiting[batch_size:]
        if task.dataset.quality == "medium-replay":
            chosen = _explored(chosen, behavior, generator)
        environment = LocomotionEnvironment(
            task.environment, batch_size, horizon=task.horizon, physics=task.physics
        )
        seeds = generator.integers(2**31, size=batch_size)
        for episode in split(roll_out(environment, chosen, seeds, generator)):
            if num_rows > 0:
                yield cut(episode, num_rows)
                num_rows -= min(num_rows, len(episode.rewards))


def _explored(
    policies: LinearPolicies, behavior: Behavior, generator: np.random.Generator
) -> LinearPolicies:
    """Perturb each policy as the search that made it did."""
    perturbation_std = behavior.summary["settings"]["perturbation_std"]
    directions = generator.standard_normal(policies.weights.shape)
    return stack_policies(
        [
            perturbed(policies.select([row]), perturbation_std, directions[[row]])
            for row in range(len(policies))
        ]
    ).select(list(range(0, 2 * len(policies), 2)))


def _describe(task: TaskConfig, behavior: Behavior, folder: Path) -> dict[str, Any]:
    policies = (folder / POLICIES_FILE).read_bytes()
    return {
        "source": "local",
        "description": f"{task.dataset.quality} data of {task.environment} from linear "
        "policies found by augmented random search; not D4RL's",
        "algorithm_name": "augmented random search (linear policies)",
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
