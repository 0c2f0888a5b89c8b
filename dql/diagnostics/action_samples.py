"""How many modes a trained policy keeps in states of its dataset.

Guiding a policy by Q may collapse it to one action. Here the policy of a finished run
acts many times in the same states, and its actions are counted into groups: two samples
are of one group if a chain of samples with small steps joins them (single linkage).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.cluster.hierarchy import fcluster, linkage

from dql import paths
from dql.config.schema import RunConfig
from dql.core.noise import NoiseStreams
from dql.errors import UserError
from dql.files import write_bytes
from dql.results.bandit_summary import COVERED_SHARE
from dql.results.files import has_diverged
from dql.training.finished_runs import finished_run
from dql.training.loop import Block
from dql.training.runs import Run

logger = logging.getLogger(__name__)

NUM_STATES = 100
NUM_SAMPLES = 100
LARGEST_STEP = 0.2
"""Longest step within a group, in units of sqrt(A): actions fill [-1, 1]^A."""

COLUMNS = (
    "task", "method", "q_coefficient", "seed", "state", "num_modes", "spread",
)  # fmt: skip


def count_modes(actions: np.ndarray) -> int:
    """Return the number of groups of samples (n, A), n >= 2, that are modes.

    A mode holds at least 5 % of the samples, as on the bandit; where no group is so
    large, there is none.
    """
    tree = linkage(actions, method="single")
    limit = LARGEST_STEP * np.sqrt(actions.shape[1])
    groups = np.bincount(fcluster(tree, limit, criterion="distance"))
    return int((groups >= COVERED_SHARE * len(actions)).sum())


def spread(actions: np.ndarray) -> float:
    """Return the standard deviation of samples (n, A) about their mean, per axis."""
    return float(np.sqrt(actions.var(axis=0).mean()))


def store_action_samples(
    config: RunConfig,
    directory: Path,
    *,
    num_states: int = NUM_STATES,
    num_samples: int = NUM_SAMPLES,
) -> Path:
    """Write the modes of a finished run's policy; return the CSV file.

    One row per state: eta, row of the state in the dataset, number of modes, spread.
    The states are the same for all methods on a dataset. A diverged run has no rows;
    one that is not finished raises.
    """
    run = finished_run(config, directory)
    rows = []
    if has_diverged(directory):
        logger.warning("%s diverged and has no policy", directory)
    else:
        states, actions = sample_policy(run, num_states, num_samples)
        weight = config.settings.get("q_coefficient")
        key = (config.task, config.method, weight, config.seed)
        rows = [
            (*key, state, count_modes(drawn), round(spread(drawn), 6))
            for state, drawn in zip(states.tolist(), actions, strict=True)
        ]
    output = paths.action_samples_file(config.task, config.method, config.seed)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_bytes(output, table.to_csv(index=False).encode())
    logger.info("modes in %s states in %s", len(table), output)
    return output


def sample_policy(
    run: Run, num_states: int, num_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the dataset (S,) and the policy's actions there, (S, n, A).

    Drawn before candidates are compared: the question is what the policy proposes.
    """
    settings = dict(run.config.settings)
    if "num_candidates" in settings:
        settings["num_candidates"] = 1
    config = run.config.model_copy(update={"settings": settings})
    agent = Block([replace(run, config=config)], torch.device("cpu")).agent
    size = len(run.dataset.observations)
    if not size:
        raise UserError(
            f"{run.config.method} on {run.config.task} reads no data, so there are no "
            "states to count its modes in"
        )
    states = np.linspace(0, size - 1, min(num_states, size)).round().astype(int)
    observations = np.repeat(run.dataset.observations[states], num_samples, axis=0)
    streams = NoiseStreams(
        agent.spec.seeds,
        agent.evaluation_draws(len(observations)),
        "action_samples",
        block_steps=1,
    )
    inputs = torch.as_tensor(observations, dtype=torch.float32)[None]
    actions = agent.sample_actions(inputs, streams.at(0))[0].numpy()
    return states, actions.reshape(len(states), num_samples, -1)
