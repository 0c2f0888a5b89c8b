"""The finished run that an online continuation goes on from."""

from __future__ import annotations

from pathlib import Path

from dql import paths
from dql.config.online import check_rates, offline_method
from dql.config.schema import RunConfig
from dql.errors import UserError
from dql.results.files import UnusableRunError, has_diverged
from dql.results.restored import is_restored
from dql.results.runs import read_run_config
from dql.training.checkpoint import Checkpoint, first_difference
from dql.training.finished_runs import finished_run
from dql.training.replay_data import load_data
from dql.training.run_files import is_finished
from dql.training.runs import run_identity

SAME = ("agent", "settings", "environment")
"""What both runs must share; how long the first one trained is its own affair."""


def find_start(config: RunConfig, directory: Path) -> Checkpoint | None:
    """Return the checkpoint that a run begins with; None for one from scratch.

    One that is not finished, has diverged, is of other settings, data or environment,
    or whose file is gone, is refused. A run that is finished itself needs none.
    """
    if config.online is None or config.online.start == "scratch":
        return None
    try:
        return _checkpoint_of_offline_run(config)
    except UserError:
        is_written = (directory / paths.PROVENANCE_FILE).is_file()
        if is_written and is_finished(
            directory, config, run_identity(config, load_data(config))
        ):
            return None
        raise


def _checkpoint_of_offline_run(config: RunConfig) -> Checkpoint:
    method = offline_method(config.method)
    directory = paths.run_directory(config.task, method, config.seed)
    train = (
        f"dql train {config.task} {method} --seed {config.seed} --scale {config.scale}"
    )
    try:
        stored = RunConfig.model_validate(read_run_config(directory))
    except UnusableRunError as error:
        raise UserError(
            f"{config.method} goes on from the finished run in {directory}, which is "
            f"not there ({error}); train it first: {train}"
        ) from None
    ours, theirs = (
        {name: run.model_dump(mode="json")[name] for name in SAME}
        for run in (config, stored)
    )
    difference = first_difference(ours, theirs)
    if difference:
        raise UserError(f"{directory} cannot go on as {config.method}: {difference}")
    if is_restored(directory):
        raise UserError(
            f"{directory} was restored from results/kept without its checkpoint, which "
            f"{config.method} goes on from; remove the folder and train it: {train}"
        )
    run = finished_run(stored, directory)
    if has_diverged(directory):
        raise UserError(f"{directory} has diverged: there is no policy to go on from")
    try:
        check_rates(config.online, config.settings, run.checkpoint.step)
    except UserError as error:
        raise UserError(f"{directory} cannot go on: {error}") from None
    return run.checkpoint
