"""Variants of a task's data: fewer episodes, random actions among them, noise on them.

The rows are made of the task's own whenever they are loaded. On disk a variant is a
manifest, whose digest every load is held to. Draws are by addresses, as in training: by
a variant's seed and the name of what is drawn. So levels of one kind share their draws,
a smaller share is a part of a larger one, and runs of all seeds see the same rows.

What can be changed in recorded rows without a simulator is their labels, and that is
what the noise does. Noise on an action stays without effect: reward and next
observation are those that the recorded action led to. What another action would have
led to cannot be known, so transitions of random actions are not made of recorded ones:
they replace them, and are the first of those that random actions' own episodes in the
same simulator gave (`dql.data.random_actions`). Policies are evaluated without any of
it.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.config.data_schema import DatasetConfig, DataVariant, base_task, random_task
from dql.data.datasets import ARRAYS, Dataset, check_digest, digest, load_dataset
from dql.data.episodes import episode_starts
from dql.errors import UserError
from dql.results.manifests import check_asked_for, read_manifest, write_manifest

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

DIGITS = 6
"""Of a deviation: processors differ in the order of sums, rows should not."""
OF_THE_BASE = (
    "source", "licence", "reference_scores", "environment", "horizon", "physics",
    "generator", "minari_id", "file_sha256", "url",
)  # fmt: skip
"""Keys that a variant's manifest repeats from its base's."""


def load_variant(task: TaskConfig, root: Path = paths.DATASETS) -> Dataset:
    """Load a variant's transitions: those that its manifest describes."""
    manifest = read_manifest(task, root)
    check_asked_for(task, manifest)
    dataset = replace(_made_rows(task, root), manifest=manifest)
    check_digest(dataset, task, root / paths.minari_id(task.name))
    return dataset


def generate(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Write the manifest of a variant, of which no row is stored; return it.

    The base's data, and random actions' where the variant has some, must be there.
    """
    made, sources = _made_rows(task, root), _sources(task, root)
    base, variant = sources[0], task.dataset.variant
    returns, _ = returns_and_lengths(made, is_antmaze=_is_antmaze(task))
    changes = ", ".join(
        f"{key} {value:g}"
        for key, value in variant.model_dump(exclude_defaults=True).items()
    )
    manifest = {
        "task": task.name,
        "digest": digest(made),
        "description": f"{base_task(task.name)} with {changes}",
        "variant": variant.model_dump(mode="json"),
        "made_from": {one["task"]: one["digest"] for one in sources},
        "num_transitions": len(made),
        "num_training_transitions": len(made),
        "num_episodes": len(returns),
        "episode_return": {
            name: float(getattr(returns, name)())
            for name in ("mean", "std", "min", "max")
        },
        **{key: base[key] for key in OF_THE_BASE if key in base},
    }
    write_manifest(manifest, root)
    return manifest


def vary(
    dataset: Dataset,
    variant: DataVariant,
    random: Dataset | None,
    *,
    is_antmaze: bool = False,
) -> Dataset:
    """Return the rows of a variant; `random` are those of random actions, if needed."""
    if variant.episode_share < 1:
        episodes = _shuffled_episodes(dataset, variant, "episode", is_antmaze)
        dataset = _with_fewer_episodes(dataset, variant, *episodes)
    if variant.random_share > 0:
        episodes = _shuffled_episodes(dataset, variant, "random", is_antmaze)
        dataset = _with_random_actions(dataset, variant, random, *episodes)
    if variant.observation_noise > 0:
        starts = episode_starts(dataset, is_antmaze=is_antmaze)
        dataset = _with_observation_noise(dataset, variant, np.flatnonzero(~starts[1:]))
    if variant.action_noise > 0:
        noise = _normal(variant, "action", dataset.actions.shape)
        noisy = dataset.actions + np.float32(variant.action_noise) * noise
        dataset = replace(dataset, actions=np.clip(noisy, -1.0, 1.0))
    if variant.reward_noise > 0:
        noise = _normal(variant, "reward", dataset.rewards.shape)
        scale = variant.reward_noise * deviations(dataset.rewards)
        noisy = dataset.rewards + scale.astype(np.float32) * noise
        dataset = replace(dataset, rewards=noisy)
    return dataset


def returns_and_lengths(
    dataset: Dataset, *, is_antmaze: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the undiscounted return and the row count of every episode, both (E,).

    Rows to train on have no truncated ones, and do not say which episodes were cut.
    """
    starts = np.flatnonzero(episode_starts(dataset, is_antmaze=is_antmaze))
    lengths = np.diff(starts, append=len(dataset))
    return np.add.reduceat(dataset.rewards.astype(np.float64), starts), lengths


def deviations(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each column, (n, d) to (d,), to `DIGITS`."""
    found = np.atleast_1d(values.std(axis=0, dtype=np.float64))
    return np.array([float(f"{one:.{DIGITS}g}") for one in found])


def _with_fewer_episodes(
    dataset: Dataset, variant: DataVariant, order: np.ndarray, lengths: np.ndarray
) -> Dataset:
    """Keep a share of the episodes, at least one, in their order."""
    chosen = order[: max(1, round(variant.episode_share * len(order)))]
    quota = np.zeros_like(lengths)
    quota[chosen] = lengths[chosen]
    return _first_rows(dataset, lengths, quota)


def _with_random_actions(
    dataset: Dataset,
    variant: DataVariant,
    random: Dataset,
    order: np.ndarray,
    lengths: np.ndarray,
) -> Dataset:
    """Replace a share of the rows, episode by episode, by those of random actions.

    Raises UserError where there are fewer of these: to repeat a row adds none.
    """
    num_random = round(variant.random_share * len(dataset))
    if num_random > len(random):
        raise UserError(
            f"random_share {variant.random_share:g} asks for {num_random:,} rows of "
            f"random actions, of which there are {len(random):,}"
        )
    # The share that a row limit leaves of each episode: all, the last one's rest, none.
    before = np.cumsum(lengths[order]) - lengths[order]
    left = np.clip(len(dataset) - num_random - before, 0, lengths[order])
    quota = np.zeros_like(lengths)
    quota[order] = left
    kept = _first_rows(dataset, lengths, quota)
    joined = {
        name: np.concatenate([getattr(kept, name), getattr(random, name)[:num_random]])
        for name in ARRAYS
    }
    return Dataset(**joined)


def _shuffled_episodes(
    dataset: Dataset, variant: DataVariant, name: str, is_antmaze: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the episodes in random order, and the length of each, both (E,)."""
    _, lengths = returns_and_lengths(dataset, is_antmaze=is_antmaze)
    return _generator(variant, name).permutation(len(lengths)), lengths


def _first_rows(dataset: Dataset, lengths: np.ndarray, quota: np.ndarray) -> Dataset:
    """Keep the first `quota` rows of each episode, (E,)."""
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    is_kept = np.arange(len(dataset)) - begins < np.repeat(quota, lengths)
    return Dataset(**{name: getattr(dataset, name)[is_kept] for name in ARRAYS})


def _with_observation_noise(
    dataset: Dataset, variant: DataVariant, goes_on: np.ndarray
) -> Dataset:
    """Disturb what was observed; an observation that two rows share stays one.

    `goes_on` are the rows that lead to the next one.
    """
    scale = variant.observation_noise * deviations(dataset.observations)
    scale, shape = scale.astype(np.float32), dataset.observations.shape
    observations = dataset.observations + scale * _normal(variant, "now", shape)
    following = dataset.next_observations + scale * _normal(variant, "next", shape)
    following[goes_on] = observations[goes_on + 1]
    return replace(dataset, observations=observations, next_observations=following)


def _normal(variant: DataVariant, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return _generator(variant, name).standard_normal(shape, dtype=np.float32)


def _generator(variant: DataVariant, name: str) -> np.random.Generator:
    return np.random.default_rng([variant.seed, zlib.crc32(name.encode())])


def _made_rows(task: TaskConfig, root: Path) -> Dataset:
    """Load what a variant is made of, and make it."""
    base, *random = [load_dataset(one, root) for one in _source_tasks(task, root)]
    sources = base, task.dataset.variant, *(random or [None])
    try:
        return vary(*sources, is_antmaze=_is_antmaze(task))
    except UserError as error:
        raise UserError(
            f"task '{task.name}': {error}; with a larger suites.local.num_transitions, "
            f"make more: dql data generate {random_task(task.environment)}"
        ) from None


def _is_antmaze(task: TaskConfig) -> bool:
    return task.environment.startswith("antmaze")


def _sources(task: TaskConfig, root: Path) -> list[dict[str, Any]]:
    return [read_manifest(one, root) for one in _source_tasks(task, root)]


def _source_tasks(task: TaskConfig, root: Path) -> list[TaskConfig]:
    """Return the task that a variant is of, and that of random actions if it has some.

    Of these any number will do, each a part of a larger one, so the manifest's is asked
    for.
    """
    recorded = task.dataset.model_copy(update={"variant": None})
    changes = {"name": base_task(task.name), "dataset": recorded}
    found = [task.model_copy(update=changes)]
    if task.dataset.variant.random_share > 0:
        changes = {
            "name": random_task(task.environment),
            "dataset": DatasetConfig(source="local", quality="random"),
            "behavior": None,
        }
        random = task.model_copy(update=changes)
        size = read_manifest(random, root).get("num_transitions")
        dataset = random.dataset.model_copy(update={"num_transitions": size})
        found.append(random.model_copy(update={"dataset": dataset}))
    return found
