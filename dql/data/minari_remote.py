"""Datasets that Minari publishes, by their id: fetched, checked, apart from D4RL's.

They were generated anew, with other policies and simulators, also where an id names
D4RL. So they make a suite of their own, are evaluated in today's physics, and never
stand beside published numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.bars import progress_bar
from dql.data.d4rl import VERSIONED
from dql.data.d4rl_rows import dimensions
from dql.data.episode_rows import cut
from dql.data.minari_files import Episode, counted, write_dataset
from dql.errors import UserError
from dql.files import locked
from dql.results.manifests import check_reference_scores, reference_scores
from dql.results.provenance import versions

if TYPE_CHECKING:
    import minari

    from dql.config.schema import TaskConfig

FOLDER = "minari"
"""Of the downloads: the root that Minari is given."""
FLAT = ("observations", "actions")


def fetch(
    task: TaskConfig, root: Path = paths.DATASETS, downloads: Path = paths.DOWNLOADS
) -> dict[str, Any]:
    """Bring a Minari dataset here and write it as the task's; return its manifest.

    What is in results/downloads/minari already, in Minari's layout, is used.
    """
    folder = downloads / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / task.name), _minari_root(folder):
        published = _open(task, folder)
        num_rows = task.dataset.num_transitions or int(published.total_steps)
        with progress_bar(f"converting {task.name}", num_rows) as progress:
            return write_dataset(
                task.name,
                counted(_episodes(published, task), progress),
                root=root,
                dimensions=dimensions(task.environment),
                description=_describe(published, task),
            )


@contextmanager
def _minari_root(folder: Path) -> Iterator[None]:
    """Let Minari keep its files in `folder`; it takes the root from the environment."""
    name, before = "MINARI_DATASETS_PATH", os.environ.get("MINARI_DATASETS_PATH")
    os.environ[name] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _open(task: TaskConfig, folder: Path) -> minari.MinariDataset:
    """Open the published dataset, downloaded before if it is not in the folder."""
    import minari

    name = task.dataset.id
    try:
        if not (folder / name / "data").is_dir():
            minari.download_dataset(name)
        published = minari.load_dataset(name)
        int(published.total_steps)  # the file's own word: it may say anything
        return published
    except ImportError as error:
        reason, remedy = str(error), "pip install 'minari[hf]', then run it again"
    except Exception as error:
        # Each of Minari's remotes fails in its own way without a network.
        reason = f"{type(error).__name__}: {error}"
        remedy = "without a network, put the dataset there or run a task made here"
    raise UserError(
        f"task '{task.name}': Minari's dataset '{name}' could not be opened in or "
        f"fetched to {folder / name} ({reason}). Remedy: {remedy}, for example "
        "dql data generate local-pointmaze-umaze"
    ) from None


def _episodes(published: minari.MinariDataset, task: TaskConfig) -> Iterator[Episode]:
    """Yield the task's number of rows, from the first on; flags are not cast yet."""
    num_rows = task.dataset.num_transitions or int(published.total_steps)
    for episode in _stored(published, task):
        for name in FLAT:
            if not isinstance(getattr(episode, name), np.ndarray):
                raise UserError(
                    f"task '{task.name}': the {name} of Minari's '{task.dataset.id}' "
                    "are not one flat array; such datasets are not supported"
                )
        if num_rows <= 0:
            return
        vectors = episode.rewards, episode.terminations, episode.truncations
        whole = Episode(
            episode.observations, episode.actions, *map(np.atleast_1d, vectors)
        )
        yield cut(whole, num_rows)
        num_rows -= len(whole.rewards)


def _stored(published: minari.MinariDataset, task: TaskConfig) -> Iterator[Any]:
    """Yield Minari's episodes; what cannot be read is named."""
    try:
        yield from published.iterate_episodes()
    except Exception as error:  # a damaged file fails in h5py, NumPy or Minari
        raise UserError(
            f"task '{task.name}': Minari's dataset '{task.dataset.id}' is damaged "
            f"({type(error).__name__}: {error}); remove {paths.DOWNLOADS}/"
            f"{FOLDER}/{task.dataset.id} and fetch it anew: dql data fetch {task.name}"
        ) from None


def _describe(published: minari.MinariDataset, task: TaskConfig) -> dict[str, Any]:
    metadata = published.storage.metadata
    specification = published.spec.env_spec
    return {
        "source": "minari",
        "description": f"Minari's {task.dataset.id}; not D4RL's",
        "algorithm_name": metadata.get("algorithm_name"),
        "licence": "as its publisher says (https://minari.farama.org)",
        "minari_id": task.dataset.id,
        "recorded_in": specification.id if specification else None,
        "reference_scores": _reference_scores(metadata, task),
        "num_published_transitions": int(published.total_steps),
        "environment": task.environment,
        "horizon": task.horizon,
        "physics": task.physics,
        "versions": {name: versions()[name] for name in VERSIONED},
    }


def _reference_scores(
    metadata: dict[str, Any], task: TaskConfig
) -> dict[str, Any] | None:
    """Return the task's own scores or, without them, those the data come with."""
    if task.reference_min_score is not None:
        return reference_scores(task)
    scores = {key: metadata.get(f"ref_{key}_score") for key in ("min", "max")}
    if all(value is None for value in scores.values()):
        return None
    source = f"metadata of Minari's {task.dataset.id}"
    remedy = "reference_min_score and reference_max_score in workflow/config/tasks.yaml"
    check_reference_scores(scores, f"task '{task.name}', {source} (or set {remedy})")
    return {**scores, "source": source}
