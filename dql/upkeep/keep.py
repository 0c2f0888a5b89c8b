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
from dql.tables.runs import RUN_COLUMNS, made_with, run_rows

KEPT_FOLDERS = (
    paths.FIGURES,
    paths.BANDIT,
    paths.ACTION_SAMPLES,
    paths.TABLES,
    paths.CELLS,
)


def keep(name: str, *, root: Path = Path(), kept: Path = paths.KEPT) -> Path:
    """Copy figures, tables, claims, summaries, cells of `root` into the folder `name`.

    `runs.csv` there has a row per finished run; `made_with.json` the machine and the
    package versions.
    """
    if name in ("", "..") or Path(name).name != name:
        raise UserError(f"'{name}' is no name of a folder in {kept}")
    runs = run_rows(root)
    if not runs:
        raise UserError(f"no finished run below {root / paths.RUNS}; run: make")
    with locked(kept / name), new_folder(kept / name) as folder:
        for source in KEPT_FOLDERS:
            if (root / source).is_dir():
                target = folder / source.relative_to(_parent(source))
                shutil.copytree(
                    root / source,
                    target,
                    ignore=shutil.ignore_patterns("*.html"),  # the report's only
                    copy_function=shutil.copyfile,
                )
        for suffix in (".json", ".md"):
            source = root / paths.ALL_CLAIMS.with_suffix(suffix)
            if source.is_file():
                shutil.copyfile(source, folder / source.name)
        write_bytes(folder / "runs.csv", _to_csv(runs).encode())
        write_json(folder / "made_with.json", {"environments": made_with(root)})
    return kept / name


def _parent(source: Path) -> Path:
    """Return what to leave off a path: `results/`, but nothing of `figures`."""
    return paths.RESULTS if source.is_relative_to(paths.RESULTS) else Path()


def _to_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, RUN_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
