"""D4RL's own files: fetched, checked, and streamed into Minari datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from dql import paths
from dql.bars import progress_bar
from dql.data.d4rl_rows import check_structure, dimensions, episodes
from dql.data.download import UnreachableError, download, record_digest, reject
from dql.data.minari_files import Episode, write_dataset
from dql.environments.locomotion import LOCOMOTION, environment_spec
from dql.errors import UserError
from dql.files import locked
from dql.results.manifests import refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from dql.config.schema import TaskConfig

VERSIONED = ("gymnasium", "minari", "mujoco", "numpy")
LICENCE = "CC BY 4.0 (D4RL, Fu et al. 2020)"


def fetch(
    task: TaskConfig, root: Path = paths.DATASETS, downloads: Path = paths.DOWNLOADS
) -> dict[str, Any]:
    """Download and convert a D4RL task's data; return its manifest."""
    if task.dataset.source != "d4rl" or not task.dataset.url:
        raise refuse_source(task, "fetch")
    file = downloads / task.dataset.url.rpartition("/")[2]
    with locked(file):
        try:
            sha256 = download(
                task.dataset.url,
                file,
                sha256=task.dataset.sha256,
                num_bytes=task.dataset.num_bytes,
            )
        except UnreachableError as error:
            raise UserError(
                f"task '{task.name}': its data could not be fetched from "
                f"{task.dataset.url} ({error}). Without a network, put the file at "
                f"{file}, or run a task whose data are made here, for example: "
                "dql data generate local-pointmaze-umaze"
            ) from None
        manifest = convert(task, file, sha256, root)
        record_digest(file, sha256)
    return manifest


def convert(task: TaskConfig, file: Path, sha256: str, root: Path) -> dict[str, Any]:
    """Stream a D4RL file into the task's Minari dataset; return its manifest."""
    with _reading(task, file):
        source = h5py.File(file, "r")
    with source:
        with _reading(task, file):
            num_rows = check_structure(source, task, file)
        return write_dataset(
            task.name,
            _read(source, task, num_rows, file),
            root=root,
            dimensions=dimensions(task.environment),
            description={
                **_describe(task, sha256),
                "num_published_transitions": source["rewards"].shape[0],
            },
            environment_spec=_environment_spec(task),
        )


def _read(
    source: h5py.File, task: TaskConfig, num_rows: int, file: Path
) -> Iterator[Episode]:
    """Yield the episodes; what cannot be read is the file's fault, not the disk's."""
    with progress_bar(f"converting {task.name}", num_rows) as progress:
        stored = episodes(source, task, num_rows)
        while True:
            with _reading(task, file):
                episode = next(stored, None)
            if episode is None:
                return
            yield episode
            progress(len(episode.rewards))


@contextmanager
def _reading(task: TaskConfig, file: Path) -> Iterator[None]:
    """Take what h5py raises for a file's bytes for damage, and set the file aside."""
    try:
        yield
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"{file} is not a readable HDF5 file ({error}). It is kept as "
            f"{reject(file)}; download it anew with: dql data fetch {task.name}"
        ) from None


def _environment_spec(task: TaskConfig) -> EnvSpec | None:
    if task.environment not in LOCOMOTION:
        return None
    return environment_spec(task.environment, task.physics, task.horizon)


def _describe(task: TaskConfig, sha256: str) -> dict[str, Any]:
    return {
        "source": "d4rl",
        "description": f"D4RL's {task.name}, converted row by row",
        "licence": LICENCE,
        "url": task.dataset.url,
        "file_sha256": sha256,
        "reference_scores": {
            "min": task.reference_min_score,
            "max": task.reference_max_score,
            "source": task.reference_source,
        },
        "environment": task.environment,
        "horizon": task.horizon,
        "versions": {name: versions()[name] for name in VERSIONED},
    }
