"""Keep what a run of the workflow made: figures, tables, numbers and their provenance.

The workflow's results are versioned by DVC and replaced by its next run. A kept folder
is small, committed to Git, and stays: the README's figures come from one. Of a campaign
it holds the runs, too, so that another machine can go on: `dql restore`.
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
from dql.results.files import read_json
from dql.results.restored import SIBLINGS, digests
from dql.results.run_archives import (
    ARCHIVES,
    archived_runs,
    finished_runs,
    keep_runs,
)
from dql.tables.runs import RUN_COLUMNS, made_with, run_rows
from dql.upkeep.campaign import campaign_log, find_campaign, runs_to_go_on

KEPT_FOLDERS = (
    paths.FIGURES,
    paths.BANDIT,
    paths.ACTION_SAMPLES,
    paths.STABILITY,
    paths.EPISODES,
    paths.WAYS,
    paths.TABLES,
    paths.CELLS,
    paths.COMPARISONS,
)
CAMPAIGN_LOG = "README.md"


def keep(name: str, *, root: Path = Path(), kept: Path = paths.KEPT) -> Path:
    """Copy figures, tables, claims, summaries, cells of `root` into the folder `name`.

    `runs.csv` there has a row per finished run; `made_with.json` the machine and the
    package versions. Of a campaign also its finished runs, the manifests of their data
    and a log, `README.md`; kept runs that are not in `root` raise. Runs that go on
    online are kept once they have: their archives hold nothing to go on from.
    """
    if name in ("", "..") or Path(name).name != name:
        raise UserError(f"'{name}' is no name of a folder in {kept}")
    runs = run_rows(root)
    if not runs:
        raise UserError(f"no finished run below {root / paths.RUNS}; run: make")
    _refuse_to_lose_runs(kept / name, root)
    campaign = find_campaign(root)
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
        if campaign is not None:
            waiting = runs_to_go_on(campaign, finished_runs(root))
            waiting -= archived_runs(kept / name).keys()
            keep_runs(root, kept / name, folder, but=waiting)
            _keep_manifests(root, folder)
            log = campaign_log(campaign, root, waiting)
            write_bytes(folder / CAMPAIGN_LOG, log.encode())
    return kept / name


def _refuse_to_lose_runs(kept: Path, root: Path) -> None:
    """Raise if runs were kept that are not below `root`: keeping replaces them."""
    lost = sorted(archived_runs(kept).keys() - finished_runs(root).keys())
    if lost:
        raise UserError(
            f"{kept / ARCHIVES} has {len(lost)} runs that are not in {root}, the first "
            f"is {lost[0].task}, {lost[0].method}, seed {lost[0].seed}; first: "
            f"dql restore {kept.name} --to {root}"
        )


def _keep_manifests(root: Path, folder: Path) -> None:
    """Keep the manifests of the archived runs' data, with the digests of siblings."""
    for task in sorted({run.task for run in archived_runs(folder)}):
        known = [
            root / paths.restored_manifest(task),
            root / paths.dataset_manifest(task),
        ]
        manifests = [read_json(path) for path in known if path.is_file()]
        if manifests:
            first = manifests[0]
            others = set().union(*map(digests, manifests)) - {first["digest"]}
            siblings = {SIBLINGS: sorted(others)} if others else {}
            target = folder / paths.DATASETS.name / f"{task}.json"
            write_json(target, first | siblings)


def _parent(source: Path) -> Path:
    """Return what to leave off a path: `results/`, but nothing of `figures`."""
    return paths.RESULTS if source.is_relative_to(paths.RESULTS) else Path()


def _to_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, RUN_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
