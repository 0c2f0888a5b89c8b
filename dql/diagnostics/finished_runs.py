"""A finished run with its checkpoint, to ask its policy once more."""

from __future__ import annotations

from pathlib import Path

from dql.config.schema import RunConfig
from dql.data.datasets import load_dataset
from dql.errors import UserError
from dql.results.fingerprint import training_fingerprint
from dql.training.checkpoint import checkpoint_file, load_checkpoint
from dql.training.run_files import is_finished
from dql.training.runs import IDENTITY_EXCLUDES, Run


def finished_run(config: RunConfig, directory: Path) -> Run:
    """Return the run with its checkpoint; one of other code or settings raises."""
    dataset = load_dataset(config.environment)
    identity = {
        "config": config.model_dump(mode="json", exclude=IDENTITY_EXCLUDES),
        "dataset": dataset.manifest["digest"],
        "code": training_fingerprint(config.agent, config.environment.environment),
    }
    if not is_finished(directory, config, identity):
        raise UserError(
            f"{directory} holds no finished run of this configuration and code; train "
            f"it: dql train {config.task} {config.method} --seed {config.seed} "
            f"--scale {config.scale}"
        )
    checkpoint = load_checkpoint(checkpoint_file(directory), identity)
    return Run(config, directory, dataset, identity, checkpoint)
