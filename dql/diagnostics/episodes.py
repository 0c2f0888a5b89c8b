"""The median episode of a finished run's last evaluation, recorded to be drawn.

An evaluation keeps returns. Here the run's last policy plays the same episodes again,
and every state of the one in the middle is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dql import paths
from dql.config.schema import RunConfig, Settings
from dql.environments.batch import BatchEnvironment, make_environments
from dql.environments.views import is_maze, is_runner
from dql.errors import UserError
from dql.results.cell_scores import normalize, with_reference_returns
from dql.results.episodes import EpisodeFacts, StoredEpisode, write_episode
from dql.results.files import has_diverged
from dql.training.evaluation import Evaluation, evaluate
from dql.training.finished_runs import finished_run, policy
from dql.training.loop import make_store
from dql.training.runs import Run

logger = logging.getLogger(__name__)


class RecordedEnvironments:
    """A batch of environments that remembers where every episode's bodies were.

    `tracks[e]` lists the generalised positions (Q,) of episode e, the start first.
    `num_repeats` episodes in a row begin alike, as the first of them would.
    """

    is_shareable = False

    def __init__(self, environments: BatchEnvironment, num_repeats: int = 1) -> None:
        self._environments, self._num_repeats = environments, num_repeats
        self.observation_dim = environments.observation_dim
        self.action_dim = environments.action_dim
        self.num_environments = environments.num_environments
        self.horizon = environments.horizon
        self.tracks: list[list[np.ndarray]] = []

    def reset(
        self, seeds: Sequence[int], chosen: Sequence[int] | None = None
    ) -> np.ndarray:
        """Start episodes, and their tracks; all of them (see `BatchEnvironment`)."""
        if chosen is not None:
            raise ValueError("recorded episodes start together")
        first = [seeds[n - n % self._num_repeats] for n in range(len(seeds))]
        observations = self._environments.reset(first)
        self.tracks = [[place] for place in self._positions().copy()]
        return observations

    def step(
        self, actions: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step the active episodes and remember where they are."""
        outcome = self._environments.step(actions, active)
        positions = self._positions()
        for index in np.flatnonzero(active):
            self.tracks[index].append(positions[index].copy())
        return outcome

    @property
    def goal(self) -> np.ndarray | None:
        """Return a maze's goal (2,), None for other environments."""
        return getattr(self._environments, "goal", None)

    def _positions(self) -> np.ndarray:
        # Not a public name of the environments: it would be new code of every run.
        return self._environments._simulations.positions


def store_episode(config: RunConfig, directory: Path) -> Path:
    """Write the median episode of a finished run's last policy; return the npz file.

    A diverged run has no policy, and its file no positions. A run that is not finished,
    and an environment that is not drawn, raise.
    """
    environment = config.environment.environment
    if not (is_runner(environment) or is_maze(environment)):
        raise UserError(
            f"{config.task}: no episode of {environment} can be drawn; those of "
            "hopper, walker2d, halfcheetah, point mazes and AntMaze can"
        )
    run = finished_run(config, directory)
    output = paths.episode_file(config.task, config.method, config.seed)
    if has_diverged(directory):
        logger.warning("%s diverged and has no policy", directory)
        write_episode(output, StoredEpisode(_facts(run), np.empty((0, 0))))
        return output
    episode = _median_episode(run)
    write_episode(output, episode)
    achieved, steps = episode.facts.episode_return, episode.num_steps
    logger.info("the episode of median return, %.1f: %d steps", achieved, steps)
    return output


def play_recorded(
    run: Run, count: int, changes: Settings | None = None, *, num_repeats: int = 1
) -> tuple[Evaluation, RecordedEnvironments]:
    """Let a run's last policy play its evaluation's first `count` episodes.

    With some settings changed, and each start played several times in a row.
    """
    store = make_store([run], torch.device("cpu"))
    environments = make_environments(run.config.environment, count)
    recorded = RecordedEnvironments(environments, num_repeats)
    agent = policy(run, changes or {}, store)
    played = evaluate(agent, [recorded], run.first_step + run.step)[0]
    return played, recorded


def median_episode(returns: np.ndarray) -> int:
    """Return which of the returns (E,) is in the middle, the lower one of two."""
    return int(np.argsort(returns, kind="stable")[(len(returns) - 1) // 2])


def _median_episode(run: Run) -> StoredEpisode:
    """Play a run's last evaluation again and return its median episode."""
    played, recorded = play_recorded(run, run.config.training.num_evaluation_episodes)
    chosen = median_episode(played.episode_returns)
    achieved = played.episode_returns[chosen]
    task = run.config.environment
    references = with_reference_returns(task.model_dump(), run.dataset.manifest)
    score = normalize(achieved, references)
    facts = replace(
        _facts(run),
        episode=chosen,
        episode_return=float(achieved),
        score=None if score is None else float(score),
        ended=bool(played.episode_lengths[chosen] < task.horizon),
    )
    return StoredEpisode(facts, np.stack(recorded.tracks[chosen]), recorded.goal)


def _facts(run: Run) -> EpisodeFacts:
    """Return what is known of a run's episode before it is played."""
    config, task = run.config, run.config.environment
    return EpisodeFacts(
        task=config.task,
        method=config.method,
        label=config.label,
        seed=config.seed,
        environment=task.environment,
        physics=task.physics,
        gradient_step=run.first_step + run.step,
        episode=0,
        num_episodes=config.training.num_evaluation_episodes,
        episode_return=None,
        score=None,
        ended=False,
    )
