"""What a dataset holds, in numbers: returns, episode lengths, ranges of the actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from dql import paths
from dql.data.datasets import (
    DATA_FILE,
    Dataset,
    load_dataset,
    read_manifest,
    remedy,
    stored_episodes,
)
from dql.data.variants import load_variant, returns_and_lengths
from dql.errors import UserError
from dql.files import locked

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

NUM_BINS = 20
ACTION_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
AT_BOUND = 0.999
"""Actions beyond it count as saturated."""
BAR_WIDTH = 40


@dataclass(frozen=True)
class Description:
    """A dataset's manifest and what its rows add to it."""

    manifest: dict[str, Any]
    returns: np.ndarray
    """Undiscounted returns of the episodes that were not cut, (E,)."""
    lengths: np.ndarray
    """Rows of every episode, cut ones too."""
    action_quantiles: np.ndarray
    """`ACTION_QUANTILES` of each action dimension, (5, A)."""
    saturated: np.ndarray
    """Share of the rows with the action at a bound, (A,)."""

    def normalized(self, values: np.ndarray) -> np.ndarray | None:
        """Return returns as scores by the dataset's own references, if it has them."""
        scores = self.manifest.get("reference_scores") or {}
        if scores.get("min") is None or scores.get("max") is None:
            return None
        return 100 * (values - scores["min"]) / (scores["max"] - scores["min"])


def describe(task: TaskConfig, root: Path = paths.DATASETS) -> Description:
    """Read a task's data and count; the bandit's are drawn, a variant's made, first."""
    if task.environment == "bandit":
        dataset = load_dataset(task)
        lengths = np.ones(len(dataset), dtype=np.int64)
        parts = dataset.rewards.astype(np.float64), lengths, dataset.actions
        return _describe(dataset.manifest, *parts)
    if task.dataset.variant:
        return _describe_rows(load_variant(task, root), task)
    path = root / paths.minari_id(task.name) / DATA_FILE
    with locked(path.parents[1]):
        manifest = read_manifest(task, root)
        try:
            is_cut = cut_episodes(path)
            episodes = list(_episode_numbers(path))
        except (OSError, KeyError) as error:
            raise UserError(
                f"task '{task.name}': {path} cannot be read ({error}); make the data "
                f"again with: {remedy(task)}"
            ) from None
    returns, lengths, actions = zip(*episodes, strict=True)
    return _describe(
        manifest, np.array(returns)[~is_cut], np.array(lengths), np.concatenate(actions)
    )


def _describe_rows(dataset: Dataset, task: TaskConfig) -> Description:
    """Describe rows in memory: those that are trained on."""
    is_antmaze = task.environment.startswith("antmaze")
    counted = returns_and_lengths(dataset, is_antmaze=is_antmaze)
    return _describe(dataset.manifest, *counted, dataset.actions)


def _episode_numbers(path: Path) -> Iterator[tuple[float, int, np.ndarray]]:
    for episode in stored_episodes(path):
        rewards = episode["rewards"]
        yield float(rewards.sum(dtype=np.float64)), len(rewards), episode["actions"]


def cut_episodes(path: Path) -> np.ndarray:
    """Return which episodes the recording stopped in, (E,)."""
    with h5py.File(path, "r") as file:
        names = [f"episode_{index}" for index in range(len(file))]
        return np.array(["options/is_cut" in file[name].attrs for name in names])


def _describe(
    manifest: dict[str, Any],
    returns: np.ndarray,
    lengths: np.ndarray,
    actions: np.ndarray,
) -> Description:
    quantiles = np.quantile(actions, ACTION_QUANTILES, axis=0)
    saturated = (np.abs(actions) >= AT_BOUND).mean(axis=0)
    return Description(manifest, returns, lengths, quantiles, saturated)


def description_text(described: Description) -> str:
    """Return the description as lines of text."""
    manifest = described.manifest
    is_known = manifest.get("variant") is None
    num_cut = manifest.get("num_cut_episodes", 0)
    cut = f", {num_cut} of them cut" if is_known else ", cut ones among them"
    lines = [
        f"{manifest['task']}: {manifest.get('description') or manifest['source']}",
        f"licence: {manifest.get('licence', '-')}",
        f"digest: {manifest['digest']}",
        f"{int(described.lengths.sum()):,} transitions in {len(described.lengths):,} "
        f"episodes{cut}",
    ]
    for name, values in (
        ("return of an episode", described.returns),
        ("length of an episode", described.lengths),
    ):
        lines += ["", f"{name}: {_summary(values)}"]
        scores = described.normalized(values) if values is described.returns else None
        if scores is not None and len(scores):
            lines.append(f"  normalised by its own references: {_summary(scores)}")
        lines += _bars(values)
    lines += ["", "action      min      25 %    median      75 %       max  at a bound"]
    for index, values in enumerate(described.action_quantiles.T):
        numbers = " ".join(f"{value:9.3f}" for value in values)
        lines.append(f"{index:6d} {numbers} {described.saturated[index]:9.1%}")
    return "\n".join(lines)


def _summary(values: np.ndarray) -> str:
    if not len(values):
        return "none, every episode was cut"
    return (
        f"mean {values.mean():.1f}, standard deviation {values.std():.1f}, "
        f"{values.min():.1f} to {values.max():.1f}"
    )


def _bars(values: np.ndarray) -> list[str]:
    """Return a histogram, a line per bin; none for a single value."""
    if not len(values) or values.min() == values.max():
        return []
    counts, edges = np.histogram(values, NUM_BINS)
    return [
        f"  {low:9.1f} to {high:9.1f} {count:7d} "
        f"{'█' * round(BAR_WIDTH * count / counts.max())}".rstrip()
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
