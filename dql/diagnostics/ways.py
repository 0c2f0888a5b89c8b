"""Which of two equally good ways a finished run's last policy takes, again and again.

Guiding a policy by Q may collapse it to one of several good actions. Where two ways
lead to a goal and half of the data take each, that is counted: every start is played
several times, with the number of candidates that the run was evaluated with, and with
one, which is what the policy proposes before a critic chooses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql import paths
from dql.config.schema import RunConfig
from dql.diagnostics.episodes import play_recorded
from dql.environments.pointmaze import POINT_MAZES, way_taken
from dql.errors import UserError
from dql.files import write_bytes
from dql.results.cell_scores import normalize, with_reference_returns
from dql.results.files import has_diverged
from dql.results.ways import COLUMNS
from dql.training.finished_runs import finished_run
from dql.training.runs import Run

logger = logging.getLogger(__name__)

NUM_STARTS = 10
NUM_REPEATS = 10
"""Episodes from each start."""


def store_ways(
    config: RunConfig,
    directory: Path,
    *,
    num_starts: int = NUM_STARTS,
    num_repeats: int = NUM_REPEATS,
) -> Path:
    """Write the ways that a finished run's last policy takes; return the CSV file.

    A row per episode. A diverged run has no rows; a run that is not finished, and an
    environment without several ways, raise.
    """
    maze = config.environment.environment
    if maze not in POINT_MAZES or not POINT_MAZES[maze].gates:
        known = ", ".join(name for name, one in POINT_MAZES.items() if one.gates)
        raise UserError(
            f"{config.task}: {maze} has no equally good ways to count; {known} has"
        )
    run = finished_run(config, directory)
    rows: list[tuple[Any, ...]] = []
    if has_diverged(directory):
        logger.warning("%s diverged and has no policy", directory)
    else:
        own = config.settings.get("num_candidates", 1)
        for num_candidates in sorted({1, own}):
            rows += _played_rows(run, num_candidates, own, num_starts, num_repeats)
    output = paths.ways_file(config.task, config.method, config.seed)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"way": "Int64"})
    write_bytes(output, table.to_csv(index=False).encode())
    logger.info("ways of %s episodes in %s", len(table), output)
    return output


def _played_rows(
    run: Run, num_candidates: int, own: int, num_starts: int, num_repeats: int
) -> Iterator[tuple[Any, ...]]:
    """Play every start so often and yield the episodes as rows of `COLUMNS`."""
    config, task = run.config, run.config.environment
    has_choice = "num_candidates" in config.settings
    changes = {"num_candidates": num_candidates} if has_choice else {}
    played, recorded = play_recorded(
        run, num_starts * num_repeats, changes, num_repeats=num_repeats
    )
    references = with_reference_returns(task.model_dump(), run.dataset.manifest)
    scores = normalize(played.episode_returns, references)
    weight = config.settings.get("q_coefficient")
    key = (config.task, config.method, weight, config.seed)
    for episode, track in enumerate(recorded.tracks):
        way = way_taken(task.environment, np.stack(track))
        start = episode // num_repeats
        achieved, score = played.episode_returns[episode], scores[episode]
        acts = (num_candidates, num_candidates == own, start, episode, way)
        yield (*key, *acts, round(float(achieved), 2), round(float(score), 2))
