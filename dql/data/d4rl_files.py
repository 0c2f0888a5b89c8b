"""D4RL's published files: where each may lie, and whether one is the task's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from dql.data.d4rl_facts import return_facts
from dql.data.d4rl_rows import check_structure
from dql.data.download import RefusedError
from dql.data.sources import (
    NoSourceError,
    PublishedFile,
    Served,
    from_file,
    named_folder,
    serve,
    shown,
)
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

FOLDER_VARIABLE = "D4RL_DATASET_DIR"
"""D4RL's own: names the folder that it keeps its files in."""
DEFAULT_FOLDER = Path("~/.d4rl/datasets")
"""Where D4RL keeps them otherwise; looked into as well where another is named."""
MIXED = "-medium-expert-"


class UnreadableError(UserError):
    """A file's bytes are no HDF5, or damaged."""


def published_file(task: TaskConfig) -> PublishedFile:
    """Return what is known of a task's file, its publisher's address first."""
    dataset = task.dataset
    name = dataset.url.rpartition("/")[2]
    urls = (dataset.url, *(f"{mirror}/{name}" for mirror in dataset.mirrors))
    return PublishedFile(name, urls, dataset.sha256, dataset.num_bytes)


def obtain(task: TaskConfig, downloads: Path, folder: Path | None = None) -> Served:
    """Return the task's file from `folder`, or from the first source that has it.

    Files in folders are read where they are; what is fetched goes to `downloads`.
    """
    wanted = published_file(task)
    kept = downloads / wanted.name
    if folder is not None:
        return _from_folder(task, wanted, kept, folder)
    local = find_local(wanted.name)
    try:
        return serve(wanted, kept, lambda file: check(task, file), local)
    except NoSourceError as error:
        raise UserError(no_source(task, kept, str(error))) from None


def no_source(task: TaskConfig, kept: Path, reasons: str) -> str:
    """Say that no source gave a task's file: each one's reason, and what to do."""
    return (
        f"task '{task.name}': no source gave its data, {kept.name}:\n{reasons}\n"
        f"Remedy: put the file at {kept}; or, if a folder has it, "
        f"dql data fetch {task.name} --from FOLDER (or set {FOLDER_VARIABLE}); or run "
        "a task of data made here, for example: dql data generate local-pointmaze-umaze"
    )


def find_local(name: str) -> tuple[Path, ...]:
    """Return the file in D4RL's own folders on this machine, a named one first."""
    named = named_folder(None, FOLDER_VARIABLE, "D4RL's files")
    folders = [named] if named else []
    with suppress(RuntimeError):  # of a user without a home
        folders.append(DEFAULT_FOLDER.expanduser())
    files = dict.fromkeys(folder / name for folder in folders)
    return tuple(filter(_is_file, files))


def _is_file(path: Path) -> bool:
    """Tell whether a file is there and its folder lets this user look."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_folder(folder: Path | None) -> None:
    """Raise if the folder given, or the one that the variable names, is not there."""
    named_folder(folder, FOLDER_VARIABLE, "D4RL's files")


def _from_folder(
    task: TaskConfig, wanted: PublishedFile, kept: Path, folder: Path
) -> Served:
    """Return the file of a folder that the user named, or say what is wrong with it."""
    path = folder_file(task, folder)
    try:
        return from_file(wanted, path, kept, lambda file: check(task, file))
    except RefusedError as error:
        raise UserError(
            f"{shown(path)} is not the expected file: {error}. {_needed(task)} as "
            f"{wanted.urls[0]} has it; to fetch that: dql data fetch {task.name}"
        ) from None


def folder_file(task: TaskConfig, folder: Path) -> Path:
    """Return where the folder that the user named has the task's file; raise if not."""
    root = named_folder(folder, FOLDER_VARIABLE, "D4RL's files")
    name = published_file(task).name
    if (root / name).is_file():
        return root / name
    others = ", ".join(other_versions(name, root))
    hint = f"; it has {others}, another version's" if others else ""
    raise UserError(
        f"{shown(root)} has no file {name}{hint}. {_needed(task)}; without --from it "
        f"is fetched: dql data fetch {task.name}"
    )


def _needed(task: TaskConfig) -> str:
    return f"task '{task.name}' needs {published_file(task).name}"


def other_versions(name: str, folder: Path) -> list[str]:
    """Return the files of a folder whose names differ from `name` in the version."""
    stem = _without_version(name)
    names = (path.name for path in folder.iterdir() if path.suffix == Path(name).suffix)
    return sorted(n for n in names if n != name and _without_version(n) == stem)


def _without_version(name: str) -> str:
    stem = re.sub(r"(-v\d+|_fixed)$", "", Path(name).stem)
    return stem.replace("-", "_").casefold()


def check(task: TaskConfig, file: Path) -> None:
    """Raise unless a file has the arrays, and about the rows, of the task's data.

    Rows tell versions apart whose arrays are alike. The counts that are known leave out
    the episode that is open at the end of a recording.
    """
    with opened(file) as source, reading(file):
        check_structure(source, task, file)
        num_rows = source["rewards"].shape[0]
    recordings = _recordings(task.name)
    known = sum(recordings)
    if known and not 0 <= num_rows - known < task.horizon * len(recordings):
        raise UserError(
            f"{file} has {num_rows} rows, {task.name} has {known} or a few more: it is "
            "another task's or version's file"
        )


def _recordings(task: str) -> list[int]:
    """Return the numbers of rows of what a task's file holds, where they are known.

    A medium-expert file is the medium one and the expert one.
    """
    facts = return_facts()
    names = [task] if task in facts else _halves(task)
    return [facts[name].num_transitions for name in names if name in facts]


def _halves(task: str) -> list[str]:
    parts = ("-medium-", "-expert-")
    return [task.replace(MIXED, part) for part in parts] if MIXED in task else []


@contextmanager
def opened(file: Path) -> Iterator[h5py.File]:
    """Open a file to read; one that is no HDF5 raises."""
    with reading(file):
        source = h5py.File(file, "r")
    with source:
        yield source


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Take what h5py raises for a file's bytes for damage."""
    try:
        yield
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UnreadableError(f"{file} is not a readable HDF5 file ({error})") from None
