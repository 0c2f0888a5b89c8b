"""D4RL's own files: fetched, checked, and streamed into Minari datasets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from dql import paths
from dql.bars import progress_bar
from dql.data.d4rl_files import (
    UnreadableError,
    obtain,
    opened,
    published_file,
    reading,
)
from dql.data.d4rl_rows import check_structure, dimensions, episodes
from dql.data.download import reject
from dql.data.minari_files import Episode, write_dataset
from dql.data.sources import record_digest
from dql.environments.locomotion import LOCOMOTION, environment_spec
from dql.errors import UserError
from dql.files import locked
from dql.results.manifests import reference_scores, refuse_source
from dql.results.provenance import versions

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from dql.config.schema import TaskConfig

VERSIONED = ("gymnasium", "minari", "mujoco", "numpy")
LICENCE = "CC BY 4.0 (D4RL, Fu et al. 2020)"
ONE_AT_A_TIME = threading.Lock()
"""Conversions take turns: HDF5 lets one thread in, and a second would only wait."""


def fetch(
    task: TaskConfig,
    root: Path = paths.DATASETS,
    downloads: Path = paths.DOWNLOADS,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Bring a D4RL task's file here and convert it; return its manifest.

    It comes from `folder`, if one is given, or from the first source that has it.
    """
    if task.dataset.source != "d4rl" or not task.dataset.url:
        raise refuse_source(task, "fetch")
    kept = downloads / published_file(task).name
    with locked(kept):
        served = obtain(task, downloads, folder)
        with ONE_AT_A_TIME:
            try:
                manifest = convert(
                    task, served.path, served.sha256, root, served_by=served.source
                )
            except UnreadableError as error:
                if served.path != kept:  # the user's own file stays as it is
                    raise
                raise UserError(
                    f"{error}. It is kept as {reject(kept)}; download it anew with: "
                    f"dql data fetch {task.name}"
                ) from None
            record_digest(kept, served)
    return manifest


def convert(
    task: TaskConfig,
    file: Path,
    sha256: str,
    root: Path,
    served_by: str | None = None,
) -> dict[str, Any]:
    """Stream a D4RL file into the task's Minari dataset; return its manifest."""
    with opened(file) as source:
        with reading(file):
            num_rows = check_structure(source, task, file)
        return write_dataset(
            task.name,
            _read(source, task, num_rows, file),
            root=root,
            dimensions=dimensions(task.environment),
            description={
                **_describe(task, sha256, file.stat().st_size, served_by),
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
            with reading(file):
                episode = next(stored, None)
            if episode is None:
                return
            yield episode
            progress(len(episode.rewards))


def _environment_spec(task: TaskConfig) -> EnvSpec | None:
    if task.environment not in LOCOMOTION:
        return None
    return environment_spec(task.environment, task.physics, task.horizon)


def _describe(
    task: TaskConfig, sha256: str, num_bytes: int, served_by: str | None
) -> dict[str, Any]:
    return {
        "source": "d4rl",
        "description": f"D4RL's {task.name}, converted row by row",
        "licence": LICENCE,
        "url": task.dataset.url,
        "served_by": served_by,
        "file_sha256": sha256,
        "file_num_bytes": num_bytes,
        "reference_scores": reference_scores(task),
        "environment": task.environment,
        "horizon": task.horizon,
        "versions": {name: versions()[name] for name in VERSIONED},
    }
