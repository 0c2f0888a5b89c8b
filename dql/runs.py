"""The runs of a block before they train: what is finished, interrupted or refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dql.checkpoint import (
    Checkpoint,
    ForeignCheckpointError,
    checkpoint_file,
    load_checkpoint,
)
from dql.datasets import Dataset, load_dataset
from dql.errors import UserError
from dql.provenance import training_fingerprint
from dql.records import Records
from dql.run_files import is_finished
from dql.schema import RunConfig

logger = logging.getLogger(__name__)

IDENTITY_EXCLUDES = {
    "label": True,
    "scale": True,
    "training": {"num_gradient_steps", "checkpoint_interval"},
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
    checkpoint: Checkpoint | None = None
    records: Records = field(default_factory=Records)
    diverged: dict[str, Any] | None = None

    @property
    def step(self) -> int:
        """Return the gradient steps that the checkpoint has taken."""
        return self.checkpoint.step if self.checkpoint else 0


def prepare_runs(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    foreign_checkpoint: Literal["refuse", "discard"],
) -> list[Run]:
    """Return the unfinished runs with their data and checkpoints.

    A checkpoint of another configuration, dataset or code is refused, or discarded.
    """
    check_block(configs)
    datasets: dict[str, Dataset] = {}
    runs = []
    for config, directory in zip(configs, directories, strict=True):
        if config.task not in datasets:
            datasets[config.task] = load_dataset(config.environment)
        dataset = datasets[config.task]
        identity = {
            "config": config.model_dump(mode="json", exclude=IDENTITY_EXCLUDES),
            "dataset": dataset.manifest["digest"],
            "code": training_fingerprint(config.agent, config.environment.environment),
        }
        if is_finished(directory, config, identity):
            logger.info("%s is finished, nothing to train", directory)
            continue
        run = Run(config, directory, dataset, identity)
        run.checkpoint = _find_checkpoint(run, foreign_checkpoint)
        if run.checkpoint:
            run.records = run.checkpoint.records
        runs.append(run)
    return runs


def check_block(configs: Sequence[RunConfig]) -> None:
    """Refuse runs that cannot go in lock step, before any time is spent."""
    if not configs:
        raise UserError("no runs to train")
    first = configs[0]
    for other in configs[1:]:
        for name in ("agent", "training"):
            here, there = getattr(first, name), getattr(other, name)
            if here != there:
                raise UserError(
                    f"runs of one block differ in {name!r}: {first.task}"
                    f" {first.method} has {here}, {other.task} {other.method} {there}"
                )


def _find_checkpoint(run: Run, foreign: str) -> Checkpoint | None:
    try:
        checkpoint = load_checkpoint(run.directory, run.identity)
    except ForeignCheckpointError as error:
        if foreign == "refuse":
            raise
        logger.warning("%s; starting afresh", error)
        checkpoint_file(run.directory).unlink()
        return None
    if checkpoint and checkpoint.step > run.config.training.num_gradient_steps:
        logger.warning("%s is past the run's last step", run.directory)
        return None
    return checkpoint
