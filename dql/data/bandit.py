"""The bandit's data: drawn by every run, or a user's own actions and rewards.

A file is an npz of `actions` (n, 2), within [-1, 1], and `rewards` (n,), read whole at
every scale: how its rows are ordered is not known.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dql import paths
from dql.data.datasets import Dataset, digest
from dql.data.episode_checks import ACTION_TOLERANCE
from dql.environments.bandit import ACTION_DIM, OBSERVATION_DIM, sample_data
from dql.errors import UserError
from dql.files import file_sha256
from dql.results.published import NUM_BANDIT_TRANSITIONS

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

KEYS = ("actions", "rewards")


def bandit_dataset(task: TaskConfig) -> Dataset:
    """Return the transitions of a bandit task: one step each, so every one terminates.

    A file that is missing, damaged or does not hold such data is an error naming it.
    """
    if task.dataset.source == "file":
        actions, rewards = read_pulls(task)
    else:
        size = task.dataset.num_transitions or NUM_BANDIT_TRANSITIONS
        actions, rewards = sample_data(task.layout, size, task.dataset.seed)
    observations = np.zeros((len(rewards), OBSERVATION_DIM), dtype=np.float32)
    terminations = np.ones(len(rewards), dtype=np.float32)
    arrays = (observations, actions, rewards, observations.copy(), terminations)
    manifest = {
        "task": task.name,
        "source": task.dataset.source,
        "digest": digest(Dataset(*arrays)),
        "num_transitions": len(rewards),
    }
    return Dataset(*arrays, manifest=manifest)


def read_pulls(task: TaskConfig) -> tuple[np.ndarray, np.ndarray]:
    """Read and check the actions (n, 2) and rewards (n,) of a task's file, float32."""
    path = paths.own_file(task.dataset.path)
    where = f"task '{task.name}': {path}"
    stored = _read(path, where)
    if task.dataset.sha256 and (found := file_sha256(path)) != task.dataset.sha256:
        expected = task.dataset.sha256
        raise UserError(f"{where}: sha256 is {found}, tasks.yaml expects {expected}")
    num_rows = len(stored["rewards"]) if stored["rewards"].ndim else 0
    if not num_rows:
        raise UserError(f"{where}: rewards holds no row")
    shapes = {"actions": (num_rows, ACTION_DIM), "rewards": (num_rows,)}
    actions, rewards = (_checked(stored[key], shapes[key], key, where) for key in KEYS)
    largest = np.abs(actions).max(axis=1)
    if (largest > 1 + ACTION_TOLERANCE).any():
        row = int(np.argmax(largest > 1 + ACTION_TOLERANCE))
        raise UserError(
            f"{where}: actions has {largest[row]:.6g} at row {row}, outside [-1, 1]"
        )
    return actions, rewards


def _read(path: Path, where: str) -> dict[str, np.ndarray]:
    """Return the arrays of the file; one that numpy cannot read raises."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise UserError(f"{where} is not an npz of {' and '.join(KEYS)}")
        with file:
            missing = [key for key in KEYS if key not in file]
            if missing:
                raise UserError(f"{where} lacks the array(s) {', '.join(missing)}")
            return {key: file[key] for key in KEYS}
    except FileNotFoundError:
        raise UserError(
            f"{where} is missing; put the data there, or change the task's path in"
            " tasks.yaml (it is read from the folder that holds workflow/)"
        ) from None
    except (
        OSError, ValueError, TypeError, EOFError, LookupError, AttributeError,
        RuntimeError, MemoryError, SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        # What numpy and zipfile raise for a file whose bytes are not as written.
        raise UserError(f"{where} cannot be read as an npz ({error})") from None


def _checked(
    array: np.ndarray, shape: tuple[int, ...], key: str, where: str
) -> np.ndarray:
    """Return an array as float32; of another kind or shape, or not finite: raise."""
    if array.dtype.kind not in "fiu":
        raise UserError(f"{where}: {key} holds {array.dtype}, not numbers")
    if array.shape != shape:
        raise UserError(f"{where}: {key} has shape {array.shape}, expected {shape}")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise UserError(f"{where}: {key} is not finite in float32 at row {row}")
    return values
