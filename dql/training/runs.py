"""The runs of a block before they train: what is finished, interrupted or refused.

Those that train share one store of transitions and one stacked agent.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from dql.agents.agent import Agent, AgentSpec
from dql.agents.registry import SETTINGS, agent_class
from dql.config.schema import RunConfig
from dql.core.batch import RowStore
from dql.core.windows import WindowSpec, check_episodes
from dql.data.datasets import Dataset
from dql.data.rewards import reward_transform
from dql.errors import UserError
from dql.files import remove
from dql.results.fingerprint import code_of_run
from dql.training.checkpoint import (
    Checkpoint,
    DamagedCheckpointError,
    ForeignCheckpointError,
    checkpoint_file,
    load_checkpoint,
    next_checkpoint_file,
    promote,
)
from dql.training.records import Records
from dql.training.replay_data import load_data, store_of
from dql.training.run_files import is_finished

logger = logging.getLogger(__name__)

IDENTITY_EXCLUDES = {
    "label": True,
    "scale": True,
    "training": {"num_gradient_steps", "checkpoint_interval"},
    "online": {"num_environment_steps"},
}
"""Configuration that may change between a checkpoint and its continuation.

A longer run continues a shorter one; records keep the intervals they were made with.
"""


@dataclass
class Run:
    """One run of a block: what it is, where it writes, what it has measured."""

    config: RunConfig
    directory: Path
    dataset: Dataset
    identity: dict[str, Any]
    start: Checkpoint | None = None
    """Of the run that an online continuation goes on from."""
    checkpoint: Checkpoint | None = None
    records: Records = field(default_factory=Records)
    diverged: dict[str, Any] | None = None

    @property
    def first_step(self) -> int:
        """Return the gradient steps that its weights had taken before it began."""
        return self.identity.get("start", {}).get("num_gradient_steps", 0)

    @property
    def step(self) -> int:
        """Return the gradient steps that the checkpoint has taken."""
        return self.checkpoint.step if self.checkpoint else 0


def prepare_runs(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    foreign_checkpoint: Literal["refuse", "discard"],
    starts: Sequence[Checkpoint | None] = (),
) -> list[Run]:
    """Return the unfinished runs with their data and checkpoints.

    A checkpoint of another configuration, dataset or code, or a damaged one, is
    refused, or discarded. `starts` are those that online continuations begin with.
    """
    datasets: dict[str, Dataset] = {}
    runs = []
    starts = starts or [None] * len(configs)
    for config, directory, start in zip(configs, directories, starts, strict=True):
        if config.task not in datasets:
            datasets[config.task] = load_data(config)
        dataset = datasets[config.task]
        identity = run_identity(config, dataset, start)
        if is_finished(directory, config, identity):
            logger.info("%s is finished, nothing to train", directory)
            continue
        if start is None and config.online and config.online.start == "offline":
            raise UserError(f"{directory} was finished a moment ago; start again")
        runs.append(Run(config, directory, dataset, identity, start))
    _resume(runs, foreign_checkpoint)
    return runs


def run_identity(
    config: RunConfig, dataset: Dataset, start: Checkpoint | None = None
) -> dict[str, Any]:
    """Return what a run's checkpoint must share with the run that goes on from it."""
    identity = {
        "config": config.model_dump(mode="json", exclude=IDENTITY_EXCLUDES),
        "dataset": dataset.manifest["digest"],
        "code": code_of_run(config.model_dump(mode="json")),
    }
    if start:
        identity["start"] = {"weights": start.digest, "num_gradient_steps": start.step}
    return identity


def _resume(runs: Sequence[Run], foreign: str) -> None:
    """Give each run its checkpoint: the latest step that all of them have.

    A block that was killed while its new checkpoints took the place of the old ones has
    some of both; its runs must go on from the same step, in the same company.
    """
    found = [_find_checkpoints(run, foreign) for run in runs]
    common = set.intersection(*map(set, found)) if found else set()
    for run, checkpoints in zip(runs, found, strict=True):
        if checkpoints:
            step = max(common or checkpoints)
            path, run.checkpoint = checkpoints[step]
            run.records = run.checkpoint.records
            if path == next_checkpoint_file(run.directory):
                promote(run.directory)


def _find_checkpoints(run: Run, foreign: str) -> dict[int, tuple[Path, Checkpoint]]:
    """Return the run's checkpoint and the one that waits to replace it, by step."""
    found = {}
    for path in (checkpoint_file(run.directory), next_checkpoint_file(run.directory)):
        try:
            checkpoint = load_checkpoint(path, run.identity)
        except DamagedCheckpointError as error:
            if foreign == "refuse":
                raise UserError(
                    f"{error}; start again to go on without it, from an earlier "
                    "checkpoint or from the start"
                ) from None
            logger.warning("%s; going on without it", error)
            continue
        except ForeignCheckpointError as error:
            if foreign == "refuse":
                raise
            logger.warning("%s; starting afresh", error)
            remove(path)
            continue
        if checkpoint and checkpoint.step > run.config.training.num_gradient_steps:
            logger.warning("%s is past the run's last step", path)
        elif checkpoint:
            found[checkpoint.step] = path, checkpoint
    return found


def make_store(runs: Sequence[Run], device: torch.device) -> RowStore:
    """Put each dataset of the block on the device once, as its agent reads it."""
    config = runs[0].config
    settings = SETTINGS[config.agent](**config.settings)
    windows = agent_class(config.agent).windows(settings)
    tasks = list(dict.fromkeys(run.config.task for run in runs))
    by_task = {run.config.task: run for run in runs}
    datasets = []
    for task in tasks:
        try:
            dataset = prepared(by_task[task], windows)
        except UserError as error:
            raise UserError(f"task '{task}': {error}") from None
        datasets.append(dataset)
        shape = (dataset.observations.shape[1], dataset.actions.shape[1])
        first = (datasets[0].observations.shape[1], datasets[0].actions.shape[1])
        if shape != first:
            raise UserError(
                f"runs of one block need equal dimensions: {tasks[0]} has (observation,"
                f" action) {first}, {task} has {shape}"
            )
    places = [tasks.index(run.config.task) for run in runs]
    return store_of(config, datasets, places, windows, device)


def prepared(run: Run, windows: WindowSpec | None) -> Dataset:
    """Return a run's data with the rewards that an agent of windows or steps reads.

    Returns-to-go are the environment's: a policy meets them when it is evaluated.
    """
    dataset = run.dataset
    if windows is not None:
        check_episodes(dataset, windows.length)
        return dataset
    transform = reward_transform(run.config.environment.reward_transform, dataset)
    return dataclasses.replace(dataset, rewards=transform(dataset.rewards))


def make_agent(runs: Sequence[Run], store: RowStore, device: torch.device) -> Agent:
    """Build the stacked agent of a block at step 0."""
    spec = AgentSpec.of(store, [run.config.seed for run in runs], device)
    name = runs[0].config.agent
    settings = [SETTINGS[name](**run.config.settings) for run in runs]
    return agent_class(name)(spec, settings)
