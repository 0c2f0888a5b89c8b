"""The files of many D4RL tasks: what is here, what would come from where, all at once.

A task whose data are ready is left alone, and a download that was cut goes on: a call
that was interrupted is simply made again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.bars import progress_bar
from dql.data import d4rl
from dql.data.checks import dataset_state
from dql.data.d4rl_files import (
    check_folder,
    find_local,
    folder_file,
    no_source,
    published_file,
)
from dql.data.download import UnreachableError, ask, stopping
from dql.data.sources import PublishedFile, part_file, shown
from dql.errors import UserError, nearest
from dql.results.manifests import read_manifest, refuse_source

if TYPE_CHECKING:
    from dql.config.project import Project
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

ASSUMED_BYTES = 500e6
"""Of a file whose size nobody knows yet; the largest known has 0.3 GB."""
NUM_ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Fetched:
    """What became, or would become, of one task's file."""

    task: str
    file: str
    source: str
    num_bytes: int | None
    """Of the file; None: nobody knows yet."""
    verdict: str
    """ready (nothing to do), fetched, to convert, to download, to resume or failed."""
    missing_bytes: float = 0.0
    """About what the disk has to hold besides, the converted data included."""
    fault: str = ""


def published_tasks(project: Project, suites: Iterable[str] | None) -> list[TaskConfig]:
    """Return the D4RL tasks of the suites, or all; a suite without any raises."""
    tasks = [task for task in project.tasks.values() if task.dataset.source == "d4rl"]
    if suites is None:
        return tasks
    names = list(dict.fromkeys(task.suite for task in tasks))
    for suite in suites:
        if suite not in names:
            hint = nearest(suite, names)
            raise UserError(f"No suite '{suite}' of D4RL's files{hint}")
    return [task for task in tasks if task.suite in {*suites}]


def fetch_all(
    tasks: Sequence[TaskConfig], folder: Path | None = None, num_at_once: int = 4
) -> list[Fetched]:
    """Fetch and convert the tasks' files, several at once; a fault stops its own only.

    Ctrl-C ends the downloads where they are. A disk that cannot hold what is known to
    come raises before anything is fetched.
    """
    check_folder(folder)
    check_disk(map(_known_bytes, tasks))
    done: dict[str, Fetched] = {}
    with (
        _stoppable(),
        progress_bar("files", len(tasks)) as progress,
        ThreadPoolExecutor(num_at_once) as pool,
    ):
        futures = [pool.submit(_fetch, task, folder) for task in tasks]
        try:
            for future in as_completed(futures):
                done[future.result().task] = future.result()
                progress(1)
        except BaseException:
            logger.info("stopping; what came is kept")
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[task.name] for task in tasks]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let later downloads run again once those of this block have ended."""
    try:
        yield
    finally:
        stopping.clear()


def _fetch(task: TaskConfig, folder: Path | None) -> Fetched:
    if ready := _ready(task):
        return ready
    try:
        manifest = d4rl.fetch(task, folder=folder)
    except UserError as error:
        return _failed(task, str(error))
    return _of_manifest(task, manifest, "fetched")


def foresee_all(
    tasks: Sequence[TaskConfig], folder: Path | None = None
) -> list[Fetched]:
    """Say where each task's file would come from; hosts are asked, nothing fetched."""
    check_folder(folder)
    with ThreadPoolExecutor(NUM_ASKED_AT_ONCE) as pool:
        return list(pool.map(lambda task: foresee(task, folder), tasks))


def foresee(task: TaskConfig, folder: Path | None = None) -> Fetched:
    """Say where a task's file would come from, by its size alone."""
    if task.dataset.source != "d4rl" or not task.dataset.url:
        raise refuse_source(task, "fetch")
    if ready := _ready(task):
        return ready
    wanted = published_file(task)
    if folder is not None:
        try:
            return _to_convert(task, wanted, folder_file(task, folder))
        except UserError as error:
            return _failed(task, str(error))
    for path in local_files(wanted):
        if wanted.num_bytes in (None, path.stat().st_size):
            return _to_convert(task, wanted, path)
    return _to_download(task, wanted)


def local_files(wanted: PublishedFile) -> list[Path]:
    """Return where the file is on this machine, in the order of `serve`."""
    kept = paths.DOWNLOADS / wanted.name
    return [*([kept] if kept.is_file() else []), *find_local(wanted.name)]


def _ready(task: TaskConfig) -> Fetched | None:
    """Return what stands in the manifest of data that are ready."""
    if dataset_state(task).state != "ready":
        return None
    return _of_manifest(task, read_manifest(task, paths.DATASETS), "ready")


def _of_manifest(task: TaskConfig, manifest: dict[str, Any], verdict: str) -> Fetched:
    source = manifest.get("served_by") or manifest.get("url") or "an earlier fetch"
    num_bytes = manifest.get("file_num_bytes")
    return Fetched(task.name, published_file(task).name, source, num_bytes, verdict)


def _to_convert(task: TaskConfig, wanted: PublishedFile, path: Path) -> Fetched:
    size = path.stat().st_size
    return Fetched(task.name, wanted.name, shown(path), size, "to convert", size)


def _to_download(task: TaskConfig, wanted: PublishedFile) -> Fetched:
    """Return the first address that answers with a file of the right size."""
    reasons, kept = [], paths.DOWNLOADS / wanted.name
    for url in wanted.urls:
        try:
            size = ask(url)
        except UnreachableError as error:
            reasons.append(f"  {url}: {error}")
            continue
        if None not in (size, wanted.num_bytes) and size != wanted.num_bytes:
            reasons.append(f"  {url}: it has {size} bytes, expected {wanted.num_bytes}")
            continue
        part = part_file(wanted, url, kept)
        begun = part.stat().st_size if part.is_file() else 0
        verdict = "to resume" if begun else "to download"
        missing = 2 * (size or ASSUMED_BYTES) - begun
        return Fetched(task.name, wanted.name, url, size, verdict, missing)
    return _failed(task, no_source(task, kept, "\n".join(reasons)))


def _failed(task: TaskConfig, fault: str) -> Fetched:
    wanted = published_file(task)
    missing = 2 * (wanted.num_bytes or ASSUMED_BYTES)
    return Fetched(
        task.name, wanted.name, "", wanted.num_bytes, "failed", missing, fault
    )


def assumed_bytes(task: TaskConfig) -> float:
    """Return about what a task's data will take; no host is asked."""
    if dataset_state(task).state == "ready":
        return 0.0
    wanted = published_file(task)
    size = wanted.num_bytes or ASSUMED_BYTES
    return size if local_files(wanted) else 2 * size


def _known_bytes(task: TaskConfig) -> float:
    return assumed_bytes(task) if task.dataset.num_bytes else 0.0


def check_disk(needed: Iterable[float]) -> None:
    """Raise if the disk of `results` cannot hold what is to come."""
    total, free = sum(needed), free_bytes()
    if total > free:
        raise UserError(
            f"the data take about {total / 1e9:,.1f} GB, {paths.RESULTS.resolve()} has "
            f"{free / 1e9:,.1f} GB free: free space (dql gc --dry-run lists what can "
            "be deleted), or fetch fewer suites"
        )


def free_bytes() -> int:
    """Return the free space where results are, or would be."""
    place = paths.RESULTS if paths.RESULTS.is_dir() else Path()
    return shutil.disk_usage(place).free
