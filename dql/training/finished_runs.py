"""A finished run with its checkpoint, to ask its policy once more."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dql import paths
from dql.config.schema import RunConfig, Settings
from dql.core.batch import RowStore
from dql.environments.batch import make_environments
from dql.errors import UserError
from dql.results.files import has_diverged
from dql.results.runs import read_run
from dql.training.checkpoint import checkpoint_file, load_checkpoint
from dql.training.evaluation import Evaluation, evaluate
from dql.training.replay_data import load_data
from dql.training.run_files import is_finished
from dql.training.runs import Run, make_agent, make_store, run_identity

logger = logging.getLogger(__name__)


def finished_run(config: RunConfig, directory: Path) -> Run:
    """Return the run with its checkpoint; one of other settings or data raises.

    A run of other code is taken if the code of today plays its last evaluation as the
    run did, episode by episode.
    """
    dataset, recorded = load_data(config), _recorded_identity(directory)
    identity = run_identity(config, dataset)
    today = identity["code"]
    identity |= recorded
    if not is_finished(directory, config, identity):
        raise UserError(
            f"{directory} holds no finished run of this configuration and its data; "
            f"train it: dql train {config.task} {config.method} --seed {config.seed} "
            f"--scale {config.scale}"
        )
    checkpoint = load_checkpoint(checkpoint_file(directory), identity)
    run = Run(config, directory, dataset, identity, checkpoint=checkpoint)
    if identity["code"] != today and not has_diverged(directory):
        _check_that_it_acts_as_it_did(run)
    return run


def play(run: Run, changes: Settings, store: RowStore, count: int) -> Evaluation:
    """Let a run's checkpoint play `count` episodes with some settings changed.

    The episodes begin as those of the run's evaluations do.
    """
    agent = policy(run, changes, store)
    environments = [make_environments(run.config.environment, count)]
    return evaluate(agent, environments, run.first_step + run.step)[0]


def policy(run: Run, changes: Settings, store: RowStore) -> Any:
    """Return the agent of a run's checkpoint, with some settings changed."""
    settings = {**run.config.settings, **changes}
    changed = replace(run, config=run.config.model_copy(update={"settings": settings}))
    agent = make_agent([changed], store, torch.device("cpu"))
    agent.load_state(run.checkpoint.tensors, run.checkpoint.num_updates)
    return agent


def _recorded_identity(directory: Path) -> dict[str, Any]:
    """Return the code that a run records, and the weights that it went on from.

    Empty where there is no such record.
    """
    try:
        text = (directory / paths.PROVENANCE_FILE).read_text(encoding="utf-8")
        record = json.loads(text)
        start = {"start": record["start"]} if "start" in record else {}
        return {"code": record["code_fingerprint"], **start}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _check_that_it_acts_as_it_did(run: Run) -> None:
    """Raise unless today's code repeats the last evaluation of a run of other code."""
    expected = read_run(run.directory).episode_returns[-1]
    store = make_store([run], torch.device("cpu"))
    try:
        found = play(run, {}, store, len(expected)).episode_returns
    except (RuntimeError, KeyError) as error:  # parameters of other names or shapes
        raise _other_policy(run, f"its checkpoint does not fit ({error})") from None
    if not np.array_equal(found, expected):
        raise _other_policy(
            run,
            f"its last evaluation returned {expected.mean():.1f} and returns "
            f"{found.mean():.1f} now",
        )
    logger.info("%s is of other code, which acts as today's does", run.directory)


def _other_policy(run: Run, reason: str) -> UserError:
    return UserError(
        f"{run.directory} is of other code than today's: {reason}; ask it with the "
        "code it was trained by"
    )
