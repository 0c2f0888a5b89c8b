"""What can be deleted: `dql gc`. Every item says why it can be spared.

An item goes only if it can be made again or DVC holds it twice, in its cache and in the
remote, with the content it has here. What git tracks and results/kept are never listed;
the caches of DVC and Snakemake are left to their own commands.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dql import paths
from dql.behavior.kept import are_made_of
from dql.config.project import Project, load_project
from dql.errors import UserError
from dql.results.files import UnusableRunError, read_json
from dql.upkeep.locks import has_snakemake_lock, is_locked, running_snakemakes
from dql.upkeep.versioned import has_md5, held_twice, tracked_files

LOGS = paths.RESULTS / "logs"
KEPT_ASIDE = ("*.part", "*.part.*", "*.rejected")
DAY_SECONDS = 86400.0
QUIET_SECONDS = 3600.0
"""What has changed since may belong to a process that is at work on it."""


@dataclass(frozen=True)
class Item:
    """A file or folder that can go: what it is, its size, how it comes back."""

    path: Path
    kind: str
    num_bytes: int
    comes_back: str


def find_garbage(days: float = 30.0) -> list[Item]:
    """List what can be deleted below the working directory and in the kernels' cache.

    Logs and checkpoints are listed from an age of `days` on.
    """
    tracked, projects = tracked_files(), all_scales()
    found = [
        *runs_in_no_suite(projects),
        *checkpoints_held_by_dvc(projects, days),
        *reruns(),
        *trainings_of_behavior(),
        *kept_aside_downloads(),
        *old_logs(days),
        *kernels_of_other_versions(),
    ]
    return [item for item in found if not is_protected(item.path, tracked)]


def delete(items: Iterable[Item]) -> int:
    """Delete the items and the folders this empties; return the bytes freed."""
    refuse_beside_snakemake()
    tracked, freed = tracked_files(), 0
    for item in items:
        if is_protected(item.path, tracked):
            raise UserError(f"{item.path} is kept by git; nothing more was deleted")
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
        freed += item.num_bytes
        _remove_empty_parents(item.path)
    return freed


def runs_in_no_suite(projects: Sequence[Project]) -> Iterator[Item]:
    """Yield stored runs that no scale of the configuration has, by task or by seed."""
    known = {key for project in projects for key in project.runs()}
    held: dict[Path, str] | None = None
    for folder in sorted(paths.RUNS.glob("*/*/seed*")):
        task, method, seed = folder.relative_to(paths.RUNS).parts
        number = seed.removeprefix("seed")
        if not number.isdigit() or (task, method, int(number)) in known:
            continue
        if newest(folder) > time.time() - QUIET_SECONDS:
            continue
        if can_train(projects, task, method):
            yield _item(folder, "run in no suite", f"training again{_hours(folder)}")
            continue
        held = held_twice() if held is None else held
        if all(_is_held(file, held) for file in files_below(folder)):
            yield _item(folder, "run in no suite", "dvc checkout")


def can_train(projects: Iterable[Project], task: str, method: str) -> bool:
    """Tell whether the configuration still says how to make a run."""
    for project in projects:
        try:
            project.settings(task, method)
        except UserError:
            continue
        return True
    return False


def checkpoints_held_by_dvc(projects: Sequence[Project], days: float) -> Iterator[Item]:
    """Yield old checkpoints of finished runs whose content DVC holds twice."""
    limit = time.time() - days * DAY_SECONDS
    known = {key for project in projects for key in project.runs()}
    held: dict[Path, str] | None = None
    for task, method, seed in sorted(known):
        run = paths.run_directory(task, method, seed)
        folder = run / paths.CHECKPOINT_FOLDER
        finished = (run / paths.PROVENANCE_FILE).is_file()
        if not finished or not folder.is_dir() or newest(folder) > limit:
            continue
        held = held_twice() if held is None else held
        files = list(files_below(folder))
        if files and all(_is_held(file, held) for file in files):
            yield _item(folder, "checkpoint", "dvc checkout")


def reruns() -> Iterator[Item]:
    """Yield the runs that `dql cell` made beside the stored ones."""
    for folder in sorted(paths.RERUN.glob("*/*/seed*")):
        if newest(folder) < time.time() - QUIET_SECONDS:
            yield _item(folder, "re-run", f"dql cell{_hours(folder)}")


def trainings_of_behavior() -> Iterator[Item]:
    """Yield the finished runs behind behavior policies that are there themselves."""
    for folder in sorted(paths.BEHAVIOR_RUNS.glob("[!.]*")):
        is_quiet = newest(folder) < time.time() - QUIET_SECONDS
        if is_quiet and are_made_of(paths.behavior_directory(folder.name), folder):
            comes_back = f"dql data behavior, trained{_hours(folder)}"
            yield _item(folder, "training of behavior policies", comes_back)


def kept_aside_downloads() -> Iterator[Item]:
    """Yield downloads that were cut or rejected, unless one is going on."""
    for pattern in KEPT_ASIDE:
        for file in sorted(paths.DOWNLOADS.glob(pattern)):
            name = file.name.partition(".part")[0].removesuffix(".rejected")
            lock = paths.DOWNLOADS / f".{name}.lock"
            if not (lock.is_file() and is_locked(lock)):
                yield _item(file, "download kept aside", "downloading again")


def old_logs(days: float) -> Iterator[Item]:
    """Yield logs that nothing has written to for so many days."""
    limit = time.time() - days * DAY_SECONDS
    for file in sorted(files_below(LOGS)):
        if file.stat().st_mtime < limit:
            yield _item(file, "log", "the job's next run")


def kernels_of_other_versions() -> Iterator[Item]:
    """Yield compiled C kernels other than the ones this version would load."""
    from dql.core.kernels.build import cache_directory, compile_library

    try:
        current = compile_library(cache_directory())
    except (OSError, subprocess.CalledProcessError):
        return  # not known which ones are in use
    for file in sorted(cache_directory().glob("kernels-*.so")):
        if file != current:
            yield _item(file, "compiled kernels", "compiling, seconds")


def hints() -> list[tuple[str, int, str]]:
    """Return caches of other programs: folder, bytes, the command that tidies it."""
    commands = {
        ".dvc/cache": "dvc gc --all-commits (keeps what any commit names)",
        ".snakemake": "snakemake --list-untracked names files that no rule makes",
    }
    return [
        (name, sum(file.stat().st_size for file in files_below(Path(name))), command)
        for name, command in commands.items()
        if Path(name).is_dir()
    ]


def all_scales() -> list[Project]:
    """Return the configuration at every scale: they share results/runs."""
    scales = sorted((paths.CONFIG / "scales").glob("*.yaml"))
    return [load_project(scale=path.stem) for path in scales]


def refuse_beside_snakemake() -> None:
    """Raise where a Snakemake works here, another user's included, or may do so."""
    if running := running_snakemakes():
        raise UserError(
            f"Snakemake is running here (process {running[0]}); wait until it is done"
        )
    if has_snakemake_lock():
        raise UserError(
            "Snakemake has locked this folder (.snakemake/locks): wait for its end or, "
            "if no user's runs any more, snakemake --unlock. Nothing was deleted"
        )


def is_protected(path: Path, tracked: frozenset[Path]) -> bool:
    """Tell whether a path is in results/kept, or holds or is something git tracks."""
    path, kept = path.absolute(), paths.KEPT.absolute()
    touches_kept = path.is_relative_to(kept) or kept.is_relative_to(path)
    return touches_kept or any(file.is_relative_to(path) for file in tracked)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth; links are yielded, not followed."""
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def newest(folder: Path) -> float:
    """Return the last change of any file below, seconds since the epoch."""
    return max((file.lstat().st_mtime for file in files_below(folder)), default=0.0)


def _is_held(file: Path, held: dict[Path, str]) -> bool:
    md5 = held.get(file.absolute())
    return md5 is not None and has_md5(file, md5)


def _item(path: Path, kind: str, comes_back: str) -> Item:
    files = files_below(path) if path.is_dir() else [path]
    return Item(path, kind, sum(file.lstat().st_size for file in files), comes_back)


def _hours(run: Path) -> str:
    """Return what a finished run took, for whoever decides about it."""
    try:
        seconds = read_json(run / paths.PROVENANCE_FILE)["wall_seconds"]
    except (UnusableRunError, KeyError):
        return ""
    return f", {seconds / 3600:.2g} h"


def _remove_empty_parents(path: Path) -> None:
    for parent in path.parents:
        inside = parent.is_relative_to(paths.RESULTS) and parent != paths.RESULTS
        if not inside or any(parent.iterdir()):
            return
        parent.rmdir()
