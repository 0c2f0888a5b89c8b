"""Put the finished runs of a kept campaign back: `dql restore`.

Then the workflow goes on with what is unfinished, on any machine. Restored runs have no
checkpoint and no data of theirs is needed; no rule makes them again, see
`dql.results.restored`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from dql import paths
from dql.config.project import RunKey
from dql.errors import UserError
from dql.files import locked, write_bytes, write_json
from dql.results.files import read_json
from dql.results.fingerprint import code_of_run
from dql.results.manifests import check_manifest
from dql.results.restored import digests, is_restored, recipe_difference
from dql.results.run_archives import (
    archived_runs,
    mark_restored,
    run_files,
    unpack,
    write_run,
)
from dql.upkeep.locks import has_snakemake_lock

MEASURED_FOLDERS = {
    paths.ACTION_SAMPLES: "csv",
    paths.STABILITY: "csv",
    paths.EPISODES: "npz",
    paths.WAYS: "csv",
}
"""What was measured with checkpoints, a file a run: it cannot be made again."""


@dataclass
class Restored:
    """Runs that were put back, that were here before, and that were left alone, why.

    `held` are those here that the code of today would make anew; now it does not.
    """

    written: list[RunKey] = field(default_factory=list)
    present: list[RunKey] = field(default_factory=list)
    held: list[RunKey] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def restore(name: str, *, root: Path = Path(), kept: Path = paths.KEPT) -> Restored:
    """Write the kept runs and manifests of `name` below `root` where they are missing.

    A finished run that is there is left as it is, and held if it was trained by other
    code than today's. Runs whose task has data here of another recipe are left out.
    """
    source = kept / name
    archives = archived_runs(source)
    if not archives:
        raise UserError(
            f"{source} keeps no runs; only campaigns do, scales with stages: dql keep"
        )
    if has_snakemake_lock(root):
        raise UserError(
            f"a Snakemake works in {root}, or was killed there; wait for it, or free "
            f"its lock: snakemake --directory {root} --unlock"
        )
    contents = {run: unpack(path, run) for run, path in archives.items()}
    done, foreign = Restored(), _restore_manifests(source, root, name)
    for run, files in contents.items():
        if run.task in foreign:
            text = f"{run.task}, {run.method}, seed {run.seed}: {foreign[run.task]}"
            done.refused.append(text)
        else:
            _restore_run(run, files, root, name, done)
    for run in (*done.written, *done.present):
        _restore_measured(run, source, root)
    return done


def _restore_run(
    run: RunKey, files: Mapping[str, bytes], root: Path, name: str, done: Restored
) -> None:
    directory = paths.run_directory(*run, root=root / paths.RUNS)
    with locked(directory):
        if not (directory / paths.PROVENANCE_FILE).is_file():
            write_run(directory, dict(files), name)
            done.written.append(run)
        elif run_files(directory) == files:
            done.present.append(run)
            if not is_restored(directory) and is_of_other_code(files):
                mark_restored(directory, name)
                done.held.append(run)
        else:
            done.refused.append(
                f"{run.task}, {run.method}, seed {run.seed}: another finished run is "
                f"in {directory}; remove that folder to have the kept one"
            )


def is_of_other_code(files: Mapping[str, bytes]) -> bool:
    """Tell whether a run was trained by other code than today's."""
    config = json.loads(files[paths.CONFIG_FILE])
    made = json.loads(files[paths.PROVENANCE_FILE])
    try:
        code = code_of_run(config)
    except OSError:  # an agent that is no more
        return True
    return made["code_fingerprint"] != code


def _restore_manifests(source: Path, root: Path, name: str) -> dict[str, str]:
    """Write the kept manifests; return the tasks whose data here are others, why."""
    foreign = {}
    for path in sorted((source / paths.DATASETS.name).glob("*.json")):
        kept, task = read_json(path), path.stem
        check_manifest(kept, path)
        here = root / paths.dataset_manifest(task)
        reason = _other_data(here, kept)
        if reason:
            foreign[task] = reason
            continue
        write_json(root / paths.restored_manifest(task), kept)
        if not here.is_file():
            write_json(here, kept)
            _restore_described(task, source, root)
    return foreign


def _restore_described(task: str, source: Path, root: Path) -> None:
    """Copy the figures of data that are not here, and how near D4RL's they are."""
    comparison = paths.comparison_file(task)
    files = {comparison: comparison.relative_to(paths.RESULTS)}
    for name, kind in product(
        (paths.data_figure(task), paths.comparison_figure(task)), ("pdf", "png")
    ):
        files[paths.figure_file(name, kind)] = paths.figure_file(name, kind)
    for here, kept in files.items():
        if (source / kept).is_file() and not (root / here).is_file():
            write_bytes(root / here, (source / kept).read_bytes())


def _other_data(here: Path, kept: Mapping[str, Any]) -> str:
    """Return why the data here are not those of the kept runs, '' if they are."""
    if not here.is_file():
        return ""
    manifest = read_json(here)
    if digests(manifest) & digests(kept):
        return ""
    difference = recipe_difference(manifest, kept)
    if not difference:
        return ""
    return (
        f"trained on other data than {here} describes ({difference}); remove that "
        "manifest and its data to have the kept run"
    )


def _restore_measured(run: RunKey, source: Path, root: Path) -> None:
    """Copy what was measured with the run's checkpoint, unless it is there."""
    for folder, suffix in MEASURED_FOLDERS.items():
        name = Path(run.task) / run.method / f"seed{run.seed}.{suffix}"
        kept, here = source / folder.name / name, root / folder / name
        if kept.is_file() and not here.is_file():
            write_bytes(here, kept.read_bytes())
