"""What is on disk of every task's data, and whether it is what its manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.data.d4rl import LICENCE as D4RL_LICENCE
from dql.data.d4rl_files import published_file
from dql.data.d4rl_rows import dimensions
from dql.data.datasets import DATA_FILE, load_dataset, stored_episodes
from dql.data.episode_checks import check_episode
from dql.data.minari_files import Episode, stream_digest
from dql.data.policy_rows import LICENCE as LOCAL_LICENCE
from dql.data.policy_weights import REMADE_LICENCE
from dql.data.variants import load_variant
from dql.errors import UserError
from dql.files import locked
from dql.results.manifests import check_asked_for, read_manifest, remedy

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

LICENCES = {
    "bandit": LOCAL_LICENCE,
    "local": LOCAL_LICENCE,
    "remade": REMADE_LICENCE,
    "d4rl": D4RL_LICENCE,
    "file": "your own",
}
"""By source, for what is not on disk; a manifest tells its own."""


@dataclass(frozen=True)
class DatasetState:
    """One line of `dql data list`."""

    task: str
    suite: str
    source: str
    state: str
    """absent, partial (a download or one of two files), ready, generated here, or other
    (of another scale, physics or seed than the configuration's)."""
    num_transitions: int | None
    num_bytes: int | None
    """Of the Minari file or, where there is none yet, of the file to download."""
    licence: str


def dataset_state(
    task: TaskConfig, root: Path = paths.DATASETS, downloads: Path = paths.DOWNLOADS
) -> DatasetState:
    """Look up a task's data on disk; nothing is read but the manifest."""
    source, folder = task.dataset.source, root / paths.minari_id(task.name)
    file = paths.own_file(task.dataset.path) if source == "file" else folder / DATA_FILE
    manifest: dict[str, Any] = {}
    try:
        manifest = {} if task.suite == "bandit" else read_manifest(task, root)
    except UserError:
        is_begun = (root / f"{task.name}.json").exists() or folder.exists()
        state = "partial" if is_begun or _is_downloading(task, downloads) else "absent"
    else:
        is_whole = source == "bandit" or file.is_file()
        state = _whole_state(task, manifest) if is_whole else "partial"
    if source == "file" and not file.is_file():
        state = "absent"
    return DatasetState(
        task=task.name,
        suite=task.suite,
        source=source,
        state=state,
        num_transitions=manifest.get("num_transitions"),
        num_bytes=file.stat().st_size if file.is_file() else task.dataset.num_bytes,
        licence=manifest.get("licence", LICENCES.get(source, "as its publisher says")),
    )


def _whole_state(task: TaskConfig, manifest: dict[str, Any]) -> str:
    try:
        check_asked_for(task, manifest)
    except UserError:
        return "other"
    made_here = task.dataset.source in ("bandit", "local", "remade")
    return "generated" if made_here else "ready"


def _is_downloading(task: TaskConfig, downloads: Path) -> bool:
    if not task.dataset.url:
        return False
    file = downloads / published_file(task).name
    return any((file.is_file(), *downloads.glob(f"{file.name}.part*")))


def verify(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Read a dataset row by row; raise unless it is whole and its manifest's.

    The manifest must be of the data that the configuration asks for. Checked are
    shapes, finiteness, the range of the actions, the flags, the counts and the digest
    of the training rows; of a variant, which has no rows of its own, the digest of
    those made of its task's. Returns the manifest.
    """
    if task.dataset.source == "bandit":
        raise UserError(
            f"task '{task.name}' has no file to verify: every run draws its data"
        )
    if task.dataset.source == "file":
        return load_dataset(task).manifest
    if task.dataset.variant:
        return load_variant(task, root).manifest
    folder = root / paths.minari_id(task.name)
    path = folder / DATA_FILE
    with locked(folder):
        manifest = read_manifest(task, root)
        check_asked_for(task, manifest)
        try:
            num_episodes, num_rows = _check_rows(path, task)
            num_training_rows, found = stream_digest(path)
        except FileNotFoundError:
            raise _fault(task, f"{path} is missing") from None
        except (OSError, KeyError) as error:
            raise _fault(task, f"{path} is damaged ({error})") from None
    counts = {
        "num_episodes": num_episodes,
        "num_transitions": num_rows,
        "num_training_transitions": num_training_rows,
        "digest": found,
    }
    for name, value in counts.items():
        if manifest.get(name) != value:
            fault = f"{path}: {name} is {value}, its manifest says {manifest.get(name)}"
            raise _fault(task, fault)
    return manifest


def _fault(task: TaskConfig, fault: str) -> UserError:
    return UserError(f"{fault}; make the data again with: {remedy(task)}")


def _check_rows(path: Path, task: TaskConfig) -> tuple[int, int]:
    """Return the numbers of episodes and rows; a bad row raises, named."""
    widths = dimensions(task.environment)
    num_episodes = num_rows = 0
    for episode in _episodes(path):
        try:
            check_episode(episode, str(path), widths, num_rows)
        except UserError as error:
            raise _fault(task, str(error)) from None
        num_episodes += 1
        num_rows += len(episode.rewards)
    return num_episodes, num_rows


def _episodes(path: Path) -> Iterator[Episode]:
    for arrays in stored_episodes(path):
        yield Episode(**arrays)
