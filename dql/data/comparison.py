"""How near remade data are to the D4RL set they are named after, in numbers.

Returns and states beside what is known of the set, and a ruler: published models of the
real states and actions denoise the data, and err the more the further data are from
those they were trained on. The error at a noise level is |denoised - clean| / (sigma
sqrt(dimensions)), the mean over rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.behavior.moments import Moments
from dql.data.d4rl_facts import ReturnFacts, return_facts, ruler_facts, state_moments
from dql.data.datasets import (
    existing_data_file,
    read_manifest,
    remedy,
    stored_episodes,
)
from dql.data.description import cut_episodes
from dql.data.minari_files import DIMENSIONS
from dql.data.policy_weights import load_weights, store_weights
from dql.errors import UserError
from dql.files import locked

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig
    from dql.diffusion.edm import DiffusionModel

RULER_SIGMAS = (0.05, 0.1, 0.2)
NUM_RULER_ROWS = 4000
"""Of each set, evenly spaced: standard errors stay below 0.01."""
KINDS = ("states", "actions")
STATISTICS = ("mean", "std", "min", "max")


@dataclass
class SetRows:
    """The rows that stand for one D4RL set, counted while episodes stream by."""

    reference: str
    """The D4RL set."""
    num_transitions: int
    returns: list[float] = field(default_factory=list)
    """Of the episodes that were not cut."""
    num_episodes: int = 0
    first: np.ndarray | float = 0.0
    """Sums over rows of each observation, and of its square."""
    second: np.ndarray | float = 0.0
    sampled: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Observations and actions for the ruler."""

    @property
    def facts(self) -> ReturnFacts:
        """Return what is known of the D4RL set's returns."""
        return return_facts()[self.reference]

    def content(self) -> dict[str, Any]:
        """Return counts and returns, and D4RL's, as JSON holds them."""
        returns = np.array(self.returns or [np.nan])
        ours = {name: float(getattr(returns, name)()) for name in STATISTICS}
        return {
            "reference": self.reference,
            "num_transitions": self.num_transitions,
            "num_episodes": self.num_episodes,
            "episode_return": ours if self.returns else None,
            "of_d4rl": {
                "num_transitions": self.facts.num_transitions,
                "episode_return": {n: getattr(self.facts, n) for n in STATISTICS},
                "source": self.facts.source,
            },
        }

    def add(self, episode: dict[str, np.ndarray], *, is_cut: bool) -> None:
        """Count an episode."""
        observations = episode["observations"][:-1].astype(np.float64)
        if not is_cut:
            self.returns.append(float(episode["rewards"].sum(dtype=np.float64)))
        self.num_episodes += 1
        self.first = self.first + observations.sum(axis=0)
        self.second = self.second + np.square(observations).sum(axis=0)
        stride = max(1, self.num_transitions // NUM_RULER_ROWS)
        rows = slice(self.num_episodes % stride, None, stride)
        self.sampled.append((observations[rows], episode["actions"][rows]))


@dataclass(frozen=True)
class Comparison:
    """A remade dataset beside the D4RL set `namesake`."""

    task: str
    namesake: str
    sets: list[SetRows]
    moments: Moments
    """Of the remade observations, (O,)."""
    published: Moments
    """Of D4RL's."""
    ruler: list[dict[str, Any]]
    """A row for each set, kind and noise level: error, and D4RL's where known."""

    @property
    def shifts(self) -> np.ndarray:
        """Distances of the means in D4RL's standard deviations, (O,)."""
        return (self.moments.mean - self.published.mean) / self.published.std

    @property
    def spreads(self) -> np.ndarray:
        """Standard deviations over D4RL's, (O,)."""
        return self.moments.std / self.published.std

    def content(self) -> dict[str, Any]:
        """Return the comparison as JSON holds it."""
        return {
            "task": self.task,
            "namesake": self.namesake,
            "sets": [rows.content() for rows in self.sets],
            "states": {
                "mean": self.moments.mean.tolist(),
                "std": self.moments.std.tolist(),
                "of_d4rl": {
                    "mean": self.published.mean.tolist(),
                    "std": self.published.std.tolist(),
                },
            },
            "ruler": self.ruler,
        }


def check_comparable(task: TaskConfig, root: Path = paths.DATASETS) -> None:
    """Raise unless a task is remade and its data are there; takes no time."""
    if not task.namesake:
        raise UserError(
            f"task '{task.name}' is not remade, there is nothing to compare it with"
        )
    read_manifest(task, root)
    existing_data_file(task, root)


def compare(task: TaskConfig, root: Path = paths.DATASETS) -> Comparison:
    """Read a remade task's dataset and measure it; other tasks raise."""
    check_comparable(task, root)
    models = _models(task)
    with locked(root / paths.minari_id(task.name)):
        manifest, path = read_manifest(task, root), existing_data_file(task, root)
        sets = expected_sets(task.namesake, manifest["generator"]["parts"])
        try:
            _count(sets, path)
        except (OSError, KeyError) as error:
            raise UserError(
                f"task '{task.name}': {path} cannot be read ({error}); "
                f"make the data again with: {remedy(task)}"
            ) from None
    return Comparison(
        task.name,
        task.namesake,
        sets,
        _moments(sets),
        state_moments(task.namesake),
        list(_ruler(task, sets, models)),
    )


def expected_sets(namesake: str, parts: list[dict[str, Any]]) -> list[SetRows]:
    """Return the D4RL sets that a dataset's rows stand for, in the rows' order.

    Most sets are one; medium-expert is a medium set and an expert set, part by part.
    """
    if namesake in return_facts():
        return [SetRows(namesake, sum(part["num_transitions"] for part in parts))]
    return [
        SetRows(part["policy"].partition("-")[2], part["num_transitions"])
        for part in parts
    ]


def _count(sets: list[SetRows], path: Path) -> None:
    bounds = np.cumsum([rows.num_transitions for rows in sets])
    is_cut = cut_episodes(path)
    start = 0
    for episode, cut in zip(stored_episodes(path), is_cut, strict=True):
        sets[int(np.searchsorted(bounds, start, "right"))].add(episode, is_cut=cut)
        start += len(episode["rewards"])


def _moments(sets: list[SetRows]) -> Moments:
    num_rows = sum(rows.num_transitions for rows in sets)
    mean = sum(rows.first for rows in sets) / num_rows
    square = sum(rows.second for rows in sets) / num_rows
    return Moments(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


def _ruler(
    task: TaskConfig, sets: list[SetRows], models: dict[str, DiffusionModel]
) -> Iterator[dict[str, Any]]:
    """Yield the error of every set, kind and noise level, by the namesake's models."""
    import torch

    from dql.diffusion.edm import denoising_error

    normalized = state_moments(task.namesake).normalized
    for rows, kind, sigma in itertools.product(sets, KINDS, RULER_SIGMAS):
        observations, actions = map(np.concatenate, zip(*rows.sampled, strict=True))
        states = torch.from_numpy(normalized(observations))
        clean = states if kind == "states" else torch.from_numpy(actions)
        given = None if kind == "states" else states
        generator = torch.Generator().manual_seed(0)
        known = ruler_facts().get((task.namesake, rows.reference, kind, sigma))
        yield {
            "set": rows.reference,
            "kind": kind,
            "sigma": sigma,
            "error": denoising_error(models[kind], clean, given, sigma, generator),
            "of_d4rl": known,
        }


def _models(task: TaskConfig) -> dict[str, DiffusionModel]:
    """Return the published models of the D4RL set, by kind."""
    from dql.diffusion.edm import DiffusionModel

    observation_dim, action_dim = DIMENSIONS[task.environment]
    names = [f"{kind}-{task.namesake}" for kind in KINDS]
    for name in names:
        store_weights(name)
    states, actions = map(load_weights, names)
    return {
        "states": DiffusionModel(states, observation_dim, 0),
        "actions": DiffusionModel(actions, action_dim, observation_dim),
    }
