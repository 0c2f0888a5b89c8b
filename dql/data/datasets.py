"""Transitions on disk and in memory: Minari files to flat arrays, and their manifests.

Rows are those of `d4rl.qlearning_dataset`: the stored rows in order, each followed by
the next stored observation, without truncated rows and without the last of all. A
terminal row is thus followed by the next episode's first observation, which no
bootstrapped target reads; one that ends an episode with neither flag by the episode's
own final observation.

A Minari file holds a few small arrays for every episode, and opening thousands of them
is what a load costs. The first one therefore leaves the flat arrays in one file beside
the Minari data, which later loads take if its digest is the manifest's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from dql import paths
from dql.errors import UserError
from dql.files import locked, write_bytes
from dql.results.manifests import check_asked_for, read_manifest, remedy

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

ARRAYS = ("observations", "actions", "rewards", "next_observations", "terminations")
STORED = ("observations", "actions", "rewards", "terminations", "truncations")
DATA_FILE = Path("data") / "main_data.hdf5"
METADATA_BYTES = 2**20
FLAT_FILE = "flat.safetensors"
"""Made from the data file, so .dvcignore names it."""


@dataclass(frozen=True)
class Dataset:
    """Flat float32 transitions, n rows, with the manifest they belong to."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    terminations: np.ndarray
    manifest: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rewards)


def load_dataset(task: TaskConfig, root: Path = paths.DATASETS) -> Dataset:
    """Load a task's transitions: those of its manifest, and the configuration's."""
    if task.environment == "bandit":
        from dql.data.bandit import bandit_dataset

        return bandit_dataset(task)
    folder = root / paths.minari_id(task.name)
    with locked(folder):
        manifest = read_manifest(task, root)
        check_asked_for(task, manifest)
        dataset = read_flat(folder / FLAT_FILE, manifest)
        if dataset is None:
            dataset = read_transitions(folder / DATA_FILE, task.name, manifest)
            check_digest(dataset, task, folder)
            _check_finite(dataset, task.name)
            write_flat(folder / FLAT_FILE, dataset)
    return dataset


def existing_data_file(task: TaskConfig, root: Path = paths.DATASETS) -> Path:
    """Return where a task's data file is; say how to make it if there is none."""
    path = root / paths.minari_id(task.name) / DATA_FILE
    if not path.is_file():
        raise UserError(
            f"task '{task.name}': its data file {path} is missing; make the data again "
            f"with: {remedy(task)}"
        )
    return path


def check_digest(dataset: Dataset, task: TaskConfig, folder: Path) -> None:
    """Raise unless the transitions are those that their manifest describes."""
    found, expected = digest(dataset), dataset.manifest["digest"]
    if found != expected:
        raise UserError(
            f"the data of '{task.name}' in {folder} are not those its manifest "
            f"describes (digest {found[:12]}, expected {expected[:12]}); "
            f"make them again with: {remedy(task)}"
        )


def read_flat(path: Path, manifest: dict[str, Any]) -> Dataset | None:
    """Read the flat arrays that an earlier load left; None if they are of no use."""
    try:
        arrays = safetensors.numpy.load_file(path)
        dataset = Dataset(**arrays, manifest=manifest)
        is_whole = digest(dataset) == manifest["digest"]
    except (OSError, SafetensorError, TypeError, IndexError):
        return None
    return dataset if is_whole else None


def write_flat(path: Path, dataset: Dataset) -> None:
    """Leave the flat arrays for the next load; where that cannot be, go on without."""
    arrays = {name: getattr(dataset, name) for name in ARRAYS}
    try:
        write_bytes(path, safetensors.numpy.save(arrays))
    except OSError as error:
        logger.info("%s cannot be written (%s); the next load reads anew", path, error)


def _check_finite(dataset: Dataset, name: str) -> None:
    """Raise unless every number is finite; name the training row that is not."""
    for key in ARRAYS:
        array = getattr(dataset, key)
        finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise UserError(
                f"{name}: {key} is not finite at training row {row}; nothing can be "
                "learned from such data"
            )


def read_transitions(path: Path, task: str, manifest: dict[str, Any]) -> Dataset:
    """Read a Minari file into flat arrays, row for row as D4RL's Q-learning data."""
    try:
        blocks = list(transition_blocks(path))
        flat = [np.concatenate(arrays) for arrays in zip(*blocks, strict=True)]
    except FileNotFoundError:
        raise UserError(f"task '{task}': its data file {path} is missing") from None
    except PermissionError as error:
        raise UserError(f"task '{task}': {path}: {error.strerror}") from None
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        # What h5py and numpy raise for a file whose bytes are not as written.
        raise UserError(
            f"task '{task}': {path} is damaged ({error}); remove it and make the data "
            "again"
        ) from None
    return Dataset(*flat, manifest=manifest)


def transition_blocks(path: Path) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield each episode's training rows, the five `ARRAYS` in order, float32."""
    episodes = stored_episodes(path)
    episode = next(episodes)
    while episode is not None:
        following = next(episodes, None)
        # What follows an episode's last row is the next one's first, as in D4RL, and
        # nothing follows the last row of all. That is of no account behind a flag, and
        # an episode that ends without one has a final observation of its own.
        num_rows = len(episode["rewards"])
        rows, final = np.split(episode["observations"], [num_rows])
        flags = episode["terminations"], episode["truncations"]
        if following is None:
            successor = rows[:0]
        elif any(array[-1] for array in flags):
            successor = following["observations"][:1]
        else:
            successor = final
        next_rows = np.concatenate((rows[1:], successor))
        kept = ~episode["truncations"].astype(bool)[: len(next_rows)]
        arrays = (
            rows[: len(kept)],
            episode["actions"][: len(kept)],
            episode["rewards"][: len(kept)],
            next_rows,
            episode["terminations"][: len(kept)],
        )
        yield tuple(array[kept].astype(np.float32) for array in arrays)
        episode = following


def stored_episodes(path: Path) -> Iterator[dict[str, np.ndarray]]:
    """Yield the `STORED` arrays of every episode of a Minari file, as they stand."""
    with h5py.File(path, "r") as file:
        bound_metadata(file)
        if not len(file):
            raise KeyError("it holds no episode")
        for index in range(len(file)):
            # h5py's own objects for a group and its arrays cost twice the reading.
            group = h5py.h5g.open(file.id, f"episode_{index}".encode())
            yield {name: _read_array(group, name) for name in STORED}


def bound_metadata(file: h5py.File) -> None:
    """Keep little of what HDF5 remembers of every array it has read.

    Its cache grows to 32 MB by itself, and holds about four times that in memory: more
    than all else that streams two million rows. Every array is read once.
    """
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = METADATA_BYTES
    file.id.set_mdc_config(config)


def _read_array(group: h5py.h5g.GroupID, name: str) -> np.ndarray:
    stored = h5py.h5d.open(group, name.encode())
    array = np.empty(stored.shape, stored.dtype)
    stored.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def digest(dataset: Dataset) -> str:
    """Return the sha256 over the names, shapes and contents of the arrays."""
    hashes = [hashlib.sha256() for _ in ARRAYS]
    for hasher, name in zip(hashes, ARRAYS, strict=True):
        hasher.update(np.ascontiguousarray(getattr(dataset, name), dtype="<f4").data)
    widths = dataset.observations.shape[1], dataset.actions.shape[1]
    return combined_digest(hashes, len(dataset), widths)


def combined_digest(hashes: list[Any], num_rows: int, widths: tuple[int, int]) -> str:
    """Combine the arrays' running hashes, so that a stream gives the same digest."""
    combined = hashlib.sha256(f"{num_rows} {widths[0]} {widths[1]}".encode())
    for name, hasher in zip(ARRAYS, hashes, strict=True):
        combined.update(f"{name} {hasher.hexdigest()}".encode())
    return combined.hexdigest()
