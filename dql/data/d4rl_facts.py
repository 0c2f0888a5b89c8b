"""What is known of D4RL's Gym sets without their files: returns, means of states.

`workflow/published/d4rl_*.csv` hold them, with sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from dql import paths
from dql.behavior.moments import Moments
from dql.config.schema import TaskConfig
from dql.errors import UserError, nearest
from dql.results.published import read_rows

RETURNS_FILE = "d4rl_returns.csv"
STATES_FILE = "d4rl_states.csv"
RULER_FILE = "d4rl_ruler.csv"
EXPERT = "-expert-v2"
MIXED_EXPERT = "-medium-expert-v2"


@dataclass(frozen=True)
class ReturnFacts:
    """The episode returns of a D4RL set, over all of its episodes."""

    num_transitions: int
    mean: float
    std: float
    min: float
    max: float
    source: str


@cache
def return_facts() -> dict[str, ReturnFacts]:
    """Return the facts of each D4RL set they are known of."""
    return {
        row["task"]: ReturnFacts(
            num_transitions=int(row["num_transitions"]),
            **{name: float(row[name]) for name in ("mean", "std", "min", "max")},
            source=row["source"],
        )
        for row in read_rows(paths.PUBLISHED / RETURNS_FILE)
    }


def behavior_score(task: TaskConfig) -> float | None:
    """Return the normalised mean return of a D4RL set's episodes, where it is known."""
    facts = return_facts().get(task.name)
    low, high = task.reference_min_score, task.reference_max_score
    return facts and 100.0 * (facts.mean - low) / (high - low)


@cache
def ruler_facts() -> dict[tuple[str, str, str, float], float]:
    """Return what recorded rows measure, by (models, set, kind, noise level)."""
    return {
        (row["models"], row["set"], row["kind"], float(row["sigma"])): float(
            row["error"]
        )
        for row in read_rows(paths.PUBLISHED / RULER_FILE)
    }


@cache
def published_moments() -> dict[str, Moments]:
    """Return mean and standard deviation of the observations of each set."""
    rows = read_rows(paths.PUBLISHED / STATES_FILE)
    moments = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        own.sort(key=lambda row: int(row["dimension"]))
        columns = ([float(row[name]) for row in own] for name in ("mean", "std"))
        moments[task] = Moments(*map(np.array, columns))
    return moments


def state_moments(name: str) -> Moments:
    """Return a set's moments; an expert set's follow from two that hold it.

    Half of medium-expert is medium, so E = 2 ME - M, for first and second moments.
    """
    known = published_moments()
    if name in known:
        return known[name]
    family = name.removesuffix(EXPERT)
    if name != family + EXPERT or family + MIXED_EXPERT not in known:
        raise UserError(f"no state statistics of '{name}'{nearest(name, known)}")
    mixed, medium = known[family + MIXED_EXPERT], known[f"{family}-medium-v2"]
    mean = 2 * mixed.mean - medium.mean
    square = 2 * _second(mixed) - _second(medium)
    return Moments(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


def _second(moments: Moments) -> np.ndarray:
    return moments.std**2 + moments.mean**2
