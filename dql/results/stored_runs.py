"""Where finished runs of a cell are stored: results of the workflow, and kept ones.

A *store* is a folder with `runs/TASK/METHOD/seedS` in it, folders as a run leaves them
or the archives that a kept campaign holds. `results` is one, `results/kept/evidence`
another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dql import paths
from dql.config.project import RunKey
from dql.errors import UserError, nearest
from dql.results.files import UnusableRunError, numbers_of, read_csv
from dql.results.run_archives import archive_file, unpack
from dql.results.runs import StoredRun, read_run


@dataclass(frozen=True)
class Address:
    """A finished run in a store: `path` is its folder or its archive."""

    run: RunKey
    store: Path
    path: Path

    @property
    def manifest(self) -> Path | None:
        """Return the manifest that the store has of the run's data, None without one.

        That of restored runs is beside the one of data that were made since.
        """
        folder = self.store / paths.DATASETS.name
        folders = folder / paths.RESTORED_DATASETS.name, folder
        files = (one / f"{self.run.task}.json" for one in folders)
        return next(filter(Path.is_file, files), None)

    @property
    def cell(self) -> Path:
        """Return where the store has the cell that the run belongs to, if it does."""
        return self.store / paths.cell_file(*self.run[:2]).relative_to(paths.RESULTS)


@dataclass(frozen=True)
class RecordedRun:
    """A finished run with all of its curves."""

    run: StoredRun
    metrics: pd.DataFrame


def stores(name: str | None = None) -> list[Path]:
    """Return the stores to look in: the named one, or results and all that is kept.

    A name is a folder, as it stands or below results or results/kept. What is kept
    belongs to the source tree, wherever the workflow's own results are.
    """
    kept = [folder for root in _kept_roots() for folder in _with_runs(root)]
    if name is None:
        return [paths.RESULTS, *kept]
    below = [top / name for root in _kept_roots() for top in (root.parent, root)]
    for folder in (Path(name), *below):
        if (folder / paths.RUNS.name).is_dir():
            return [folder]
    own = [paths.RESULTS] if paths.RUNS.is_dir() else []
    known = [*own, *(f"{paths.KEPT.name}/{path.name}" for path in kept)]
    raise UserError(
        f"--stored {name}: no such folder with runs in it{nearest(name, known)}"
    )


def _kept_roots() -> list[Path]:
    """Return the folders of kept results: the working directory's, the source's."""
    source = paths.SOURCE / paths.KEPT
    is_here = paths.KEPT.resolve() == source.resolve()
    return [paths.KEPT] if is_here else [paths.KEPT, source]


def _with_runs(kept: Path) -> list[Path]:
    return [path.parent for path in sorted(kept.glob(f"*/{paths.RUNS.name}"))]


def find_runs(task: str, method: str, places: Sequence[Path]) -> list[Address]:
    """Return the finished runs of a cell, by seed, in the order of the stores."""
    found = []
    for store in places:
        folder = store / paths.RUNS.name / task / method
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            seed = path.name.removesuffix(".zip").removeprefix("seed")
            if seed.isdigit():
                found += _finished(RunKey(task, method, int(seed)), store)
    unique = dict.fromkeys(found)  # a folder beside its archive is one run
    return sorted(unique, key=lambda address: address.run.seed)


def _finished(run: RunKey, store: Path) -> list[Address]:
    runs = store / paths.RUNS.name
    folder, archive = paths.run_directory(*run, root=runs), archive_file(store, run)
    if (folder / paths.PROVENANCE_FILE).is_file():
        return [Address(run, store, folder)]
    return [Address(run, store, archive)] if archive.is_file() else []


def stored_scale(address: Address) -> str:
    """Return the scale that a stored run was trained at."""
    return str(read_stored(address).run.config["scale"])


def read_stored(address: Address) -> RecordedRun:
    """Read a stored run; what is wrong with its files raises and names them."""
    if address.path.is_dir():
        return read_recorded(address.path)
    files = unpack(address.path, address.run)
    with tempfile.TemporaryDirectory() as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        try:
            return read_recorded(Path(name))
        except UnusableRunError as error:
            text = str(error).replace(name, str(address.path))
            raise UnusableRunError(text) from None


def read_recorded(directory: Path) -> RecordedRun:
    """Read a run's folder with all of its metrics."""
    run, path = read_run(directory), directory / paths.METRICS_FILE
    metrics = read_csv(path)
    if "gradient_step" not in metrics:
        raise UnusableRunError(f"{path}: no column gradient_step")
    for name in metrics:
        numbers_of(metrics, name, path)
    return RecordedRun(run, metrics)
