"""Keep what a run of the workflow made: figures, tables, numbers and their provenance.

The workflow's results are versioned by DVC and replaced by its next run. A kept folder
is small, committed to Git, and stays: the README's figures come from one.
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

from dql import paths
from dql.errors import UserError
from dql.files import locked, new_folder, write_bytes, write_json
from dql.stored_runs import read_json

RUN_COLUMNS = (
    "task",
    "method",
    "seed",
    "scale",
    "num_gradient_steps",
    "steps_per_second",
    "wall_seconds",
    "peak_memory_bytes",
    "device",
    "code_fingerprint",
    "dataset_digest",
    "finished_at",
)


def keep(name: str, *, root: Path = Path(), kept: Path = paths.KEPT) -> Path:
    """Copy figures, tables, summaries and cells of `root` into the folder `name`.

    `runs.csv` there has a row per finished run; `made_with.json` the machine and the
    package versions.
    """
    if name in ("", "..") or Path(name).name != name:
        raise UserError(f"'{name}' is no name of a folder in {kept}")
    runs = [_describe(path) for path in sorted(_provenance_files(root))]
    if not runs:
        raise UserError(f"no finished run below {root / paths.RUNS}; run: make")
    with locked(kept / name), new_folder(kept / name) as folder:
        for source in (paths.FIGURES, paths.BANDIT, paths.TABLES, paths.CELLS):
            if (root / source).is_dir():
                target = folder / source.relative_to(_parent(source))
                shutil.copytree(root / source, target, copy_function=shutil.copyfile)
        write_bytes(folder / "runs.csv", _to_csv(runs).encode())
        write_json(folder / "made_with.json", _made_with(root))
    return kept / name


def _parent(source: Path) -> Path:
    """Return what to leave off a path: `results/`, but nothing of `figures`."""
    return paths.RESULTS if source.is_relative_to(paths.RESULTS) else Path()


def _provenance_files(root: Path) -> list[Path]:
    return list((root / paths.RUNS).glob(f"*/*/*/{paths.PROVENANCE_FILE}"))


def _describe(path: Path) -> dict[str, Any]:
    """Return one run's row."""
    made, config = read_json(path), read_json(path.parent / paths.CONFIG_FILE)
    known = config | config["training"] | made
    known["dataset_digest"] = made["dataset"]["digest"]
    return {column: known[column] for column in RUN_COLUMNS}


def _made_with(root: Path) -> dict[str, Any]:
    """Return each distinct machine and set of versions among the runs."""
    found: list[dict[str, Any]] = []
    for path in sorted(_provenance_files(root)):
        made = read_json(path)
        entry = {"machine": made["machine"], "versions": made["versions"]}
        if entry not in found:
            found.append(entry)
    return {"environments": found}


def _to_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, RUN_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
