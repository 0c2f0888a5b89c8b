"""How good a finished run's last policy is, measured on many more episodes.

An evaluation of ten episodes mixes two things: how the policy has changed and which
episodes it drew. Here the policy of the last checkpoint plays a hundred, the online and
the EMA network each with 1, 10, 50 candidates and with as many as the run evaluated
with. Agents without a choice of either have one row of episodes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dql import paths
from dql.config.schema import RunConfig, Settings
from dql.core.batch import RowStore
from dql.core.noise import Draw
from dql.files import write_bytes
from dql.results.files import has_diverged
from dql.results.stability import COLUMNS, ONLINE
from dql.training.finished_runs import finished_run, play, policy
from dql.training.loop import make_store
from dql.training.runs import Run

logger = logging.getLogger(__name__)

NUM_EPISODES = 100
NUM_CANDIDATES = (1, 10, 50)
ACTORS = (ONLINE, "ema")
MAX_NETWORK_ROWS = 25_000
"""Rows that the policy's network sees for one decision of all episodes.

100 episodes of the paper's policy with 50 candidates and 5 denoising steps. Longer
chains and more candidates play fewer episodes, so that no run costs much more.
"""


@dataclass(frozen=True)
class Variant:
    """A way to act with a trained policy, and the settings that this changes."""

    policy: str
    num_candidates: int
    as_evaluated: bool
    changes: Settings


def variants(settings: Settings) -> list[Variant]:
    """Return the ways in which an agent of these settings can act."""
    own = settings.get("evaluation_actor", ONLINE), settings.get("num_candidates", 1)
    actors = ACTORS if "evaluation_actor" in settings else own[:1]
    counts = {own[1]}
    if "num_candidates" in settings:
        counts |= {*NUM_CANDIDATES}
    found = []
    for way in product(actors, sorted(counts)):
        changes = dict(zip(("evaluation_actor", "num_candidates"), way, strict=True))
        known = {key: value for key, value in changes.items() if key in settings}
        found.append(Variant(*way, way == own, known))
    return found


def affordable_episodes(
    draws: Mapping[str, Draw], action_dim: int, num_episodes: int
) -> int:
    """Return how many of the episodes are played, given the noise of one.

    A network sees about as many rows as it is given actions' worth of noise.
    """
    sizes = [math.prod(draw.shape) / action_dim for draw in draws.values()]
    return max(1, min(num_episodes, int(MAX_NETWORK_ROWS / max([1.0, *sizes]))))


def store_stability(
    config: RunConfig, directory: Path, *, num_episodes: int = NUM_EPISODES
) -> Path:
    """Write the episodes of a finished run's last policy; return the CSV file.

    A diverged run has no rows; one that is not finished raises.
    """
    run = finished_run(config, directory)
    rows: list[tuple[Any, ...]] = []
    if has_diverged(directory):
        logger.warning("%s diverged and has no policy", directory)
    else:
        store = make_store([run], torch.device("cpu"))
        for variant in variants(config.settings):
            rows += played_rows(run, variant, store, num_episodes)
    output = paths.stability_file(config.task, config.method, config.seed)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_bytes(output, table.to_csv(index=False).encode())
    return output


def played_rows(
    run: Run, variant: Variant, store: RowStore, num_episodes: int
) -> Iterator[tuple[Any, ...]]:
    """Play a variant's episodes and yield them as rows of `COLUMNS`."""
    start = time.perf_counter()
    agent = policy(run, variant.changes, store)
    draws = agent.evaluation_draws(1)
    count = affordable_episodes(draws, agent.spec.action_dim, num_episodes)
    played = play(run, variant.changes, store, count)
    logger.info(
        "%s, %s with %d candidates: %d episodes, mean return %.0f, %.0f s",
        run.directory,
        variant.policy,
        variant.num_candidates,
        len(played.episode_returns),
        played.episode_returns.mean(),
        time.perf_counter() - start,
    )
    key = (run.config.task, run.config.method, run.config.seed)
    acts = (variant.policy, variant.num_candidates, variant.as_evaluated)
    episodes = zip(played.episode_returns, played.episode_lengths, strict=True)
    for episode, (episode_return, length) in enumerate(episodes):
        yield (*key, *acts, episode, round(float(episode_return), 2), int(length))
