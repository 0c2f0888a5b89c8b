"""Local datasets by D4RL's recipe: what SAC's training left.

`medium` is the medium policy's, rolled out by draws, `medium-expert` half of it and
half of the expert's. `medium-replay` is the replay buffer when the medium policy was
reached, or episodes of it. Every random number comes from the dataset's seed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dql import paths
from dql.behavior.kept import POLICIES_FILE
from dql.behavior.policies import Behavior, load_behavior
from dql.behavior.recorded import Recording, batches, play_again
from dql.behavior.rollout import Policy
from dql.behavior.summary import HORIZON
from dql.config.data_schema import PolicyPart
from dql.data.episode_rows import cut, split
from dql.data.minari_files import Episode
from dql.data.policy_rows import (
    LICENCE,
    VERSIONED,
    Environments,
    part_sizes,
    roll_out_parts,
    write_rows,
)
from dql.errors import UserError, nearest
from dql.results.manifests import DEFAULT_NUM_TRANSITIONS, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

ROLLED_OUT = {"medium": ("medium",), "medium-expert": ("medium", "expert")}
RECORDED = "medium-replay"
OTHERS = "num_episodes_other_than_recorded"
QUALITIES = (*ROLLED_OUT, RECORDED)


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
    if task.behavior and behavior.summary["budget"] != task.behavior.model_dump():
        raise UserError(
            f"task '{task.name}': the policies in {folder} are of another budget than "
            f"the scale's ({behavior.summary['budget']}); make its own with the "
            f"--scale and --set of this command: dql data behavior {task.environment}"
        )
    num_transitions = task.dataset.num_transitions or DEFAULT_NUM_TRANSITIONS
    description = _describe(task, behavior, folder)
    if task.dataset.quality == RECORDED:
        return _write_recorded(task, behavior, num_transitions, description, root)
    mixture = mix(task, behavior)
    sizes = part_sizes(mixture.parts, num_transitions)
    description["generator"]["parts"] = [
        {"policy": part.policy, "num_transitions": size}
        for part, size in zip(mixture.parts, sizes, strict=True)
    ]
    episodes = roll_out_parts(task, *mixture, num_transitions)
    return write_rows(task, episodes, num_transitions, description, root)


def mix(task: TaskConfig, behavior: Behavior) -> Mixture:
    """Return who acts in a task's data; policies have equal shares of the rows."""
    steps = [behavior.serving(quality) for quality in ROLLED_OUT[task.dataset.quality]]
    parts = [PolicyPart(policy=f"sac-{s}", share=1 / len(steps)) for s in steps]
    return Mixture(parts, [behavior.policies[step] for step in steps])


def _write_recorded(
    task: TaskConfig,
    behavior: Behavior,
    num_transitions: int,
    description: dict[str, Any],
    root: Path,
) -> dict[str, Any]:
    """Write the recorded buffer, or episodes of it if fewer transitions are asked."""
    recording = behavior.recording
    held = len(recording.actions)
    if held < num_transitions:
        logger.info(
            "%s: all %d recorded transitions; %d were asked for",
            task.name,
            held,
            num_transitions,
        )
    num_rows = min(held, num_transitions)
    description |= {
        "num_recorded_transitions": held,
        "num_chosen_transitions": num_rows,
    }
    episodes = RecordedEpisodes(task, recording, num_rows, description)
    manifest = write_rows(task, episodes, num_rows, description, root)
    if manifest[OTHERS]:
        logger.warning(
            "%s: %d of %d episodes came out other than recorded, as this machine's "
            "physics rounds otherwise; their transitions are the simulator's all the "
            "same",
            task.name,
            manifest[OTHERS],
            manifest["num_episodes"],
        )
    return manifest


class RecordedEpisodes:
    """Episodes of a recording, played again when iterated, of so many rows at most.

    How many came out other than recorded is noted in the dataset's description, which
    is written after the last of them.
    """

    def __init__(
        self,
        task: TaskConfig,
        recording: Recording,
        num_rows: int,
        description: dict[str, Any],
    ) -> None:
        self.task, self.recording, self.num_rows = task, recording, num_rows
        self.description = description

    def __iter__(self) -> Iterator[Episode]:
        self.description[OTHERS] = 0
        environments = Environments(self.task, HORIZON)
        generator = np.random.default_rng(self.task.dataset.seed)
        left = self.num_rows
        for chosen in batches(self.recording.sample(self.num_rows, generator)):
            environment = environments.of(len(chosen))
            replayed = play_again(self.recording, chosen, environment)
            self.description[OTHERS] += int((~replayed.as_recorded).sum())
            for episode in split(replayed.episodes):
                if left > 0:
                    yield cut(_as_it_stood(episode), left)
                    left -= len(episode.rewards)


def _as_it_stood(episode: Episode) -> Episode:
    """Return an episode, marked as cut if it was stopped where nothing ended it."""
    ended = episode.terminations[-1] or len(episode.rewards) == HORIZON
    return episode if ended else replace(episode, is_cut=True)


def _describe(task: TaskConfig, behavior: Behavior, folder: Path) -> dict[str, Any]:
    policies = (folder / POLICIES_FILE).read_bytes()
    return {
        "source": "local",
        "description": f"{task.dataset.quality} data of {task.environment} from "
        "SAC's training; not D4RL's",
        "algorithm_name": "soft actor-critic",
        "licence": LICENCE,
        "reference_scores": behavior.summary["reference_scores"],
        "environment": task.environment,
        "horizon": HORIZON if task.dataset.quality == RECORDED else task.horizon,
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
