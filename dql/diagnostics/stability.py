"""How good a finished run's last policy is, measured on many more episodes.

An evaluation of ten episodes mixes two things: how the policy has changed and which
episodes it drew. Here the policy of the last checkpoint plays a hundred, the online and
the EMA network each with 1, 10, 50 candidates and with as many as the run evaluated
with. Agents without a choice of either have one row of episodes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dql import paths
from dql.config.schema import RunConfig, Settings
from dql.core.batch import TransitionStore
from dql.diagnostics.finished_runs import finished_run
from dql.environments.batch import make_environments
from dql.files import write_bytes
from dql.results.files import has_diverged
from dql.results.stability import COLUMNS, ONLINE
from dql.training.evaluation import Evaluation, evaluate
from dql.training.loop import make_agent, make_store
from dql.training.runs import Run

logger = logging.getLogger(__name__)

NUM_EPISODES = 100
NUM_CANDIDATES = (1, 10, 50)
ACTORS = (ONLINE, "ema")
MAX_NETWORK_ROWS = 25_000
"""Rows that the policy's network sees for one decision of all episodes.

Episodes times candidates times denoising steps: 100 episodes of the paper's policy with
50 candidates. Longer chains and more candidates play fewer episodes, so that no run
costs much more than another.
"""


@dataclass(frozen=True)
class Variant:
    """A way to act with a trained policy: the settings it changes, its episodes."""

    policy: str
    num_candidates: int
    num_episodes: int
    as_evaluated: bool
    changes: Settings


def variants(settings: Settings, num_episodes: int = NUM_EPISODES) -> list[Variant]:
    """Return the ways in which an agent of these settings can act."""
    own_actor = settings.get("evaluation_actor", ONLINE)
    own_count = settings.get("num_candidates", 1)
    actors = ACTORS if "evaluation_actor" in settings else (own_actor,)
    counts = {own_count} | (
        {*NUM_CANDIDATES} if "num_candidates" in settings else set()
    )
    found = []
    for actor in actors:
        for count in sorted(counts):
            changes = {"evaluation_actor": actor, "num_candidates": count}
            rows = count * settings.get("num_denoising_steps", 1)
            found.append(
                Variant(
                    actor,
                    count,
                    max(1, min(num_episodes, MAX_NETWORK_ROWS // rows)),
                    (actor, count) == (own_actor, own_count),
                    {k: v for k, v in changes.items() if k in settings},
                )
            )
    return found


def store_stability(
    config: RunConfig, directory: Path, *, num_episodes: int = NUM_EPISODES
) -> Path:
    """Write the episodes of a finished run's last policy; return the CSV file.

    A diverged run has no rows; one that is not finished, or of other code, raises.
    """
    run = finished_run(config, directory)
    rows: list[tuple[Any, ...]] = []
    if has_diverged(directory):
        logger.warning("%s diverged and has no policy", directory)
    else:
        store = make_store([run], torch.device("cpu"))
        for variant in variants(config.settings, num_episodes):
            rows += played_rows(run, variant, store)
    output = paths.stability_file(config.task, config.method, config.seed)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_bytes(output, table.to_csv(index=False).encode())
    return output


def played_rows(
    run: Run, variant: Variant, store: TransitionStore
) -> Iterator[tuple[Any, ...]]:
    """Play a variant's episodes and yield them as rows of `COLUMNS`."""
    start = time.perf_counter()
    played = play(run, variant, store)
    logger.info(
        "%s, %s with %d candidates: %d episodes, mean return %.0f, %.0f s",
        run.directory,
        variant.policy,
        variant.num_candidates,
        variant.num_episodes,
        played.episode_returns.mean(),
        time.perf_counter() - start,
    )
    key = (run.config.task, run.config.method, run.config.seed)
    acts = (variant.policy, variant.num_candidates, variant.as_evaluated)
    episodes = zip(played.episode_returns, played.episode_lengths, strict=True)
    for episode, (episode_return, length) in enumerate(episodes):
        yield (*key, *acts, episode, round(float(episode_return), 2), int(length))


def play(run: Run, variant: Variant, store: TransitionStore) -> Evaluation:
    """Evaluate a run's checkpoint as a variant; episodes start as the run's did."""
    settings = {**run.config.settings, **variant.changes}
    changed = replace(run, config=run.config.model_copy(update={"settings": settings}))
    agent = make_agent([changed], store, torch.device("cpu"))
    agent.load_state(run.checkpoint.tensors, run.checkpoint.num_updates)
    environments = [make_environments(run.config.environment, variant.num_episodes)]
    return evaluate(agent, environments, run.step)[0]
