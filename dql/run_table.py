"""Every finished run in one table: how it was made, and what it cost.

Runs that trained together each record the time of their whole block; cost counts a
block once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.errors import UserError
from dql.table_files import Block, Table, write_table

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
SHOWN_COLUMNS = (
    "task", "method", "seed", "scale", "num_gradient_steps", "device",
    "code_fingerprint", "dataset_digest", "finished_at",
)  # fmt: skip
DIGEST_LENGTH = 12


def run_rows(root: Path = Path()) -> list[dict[str, Any]]:
    """Return a row per finished run below `root`."""
    return [_describe(path) for path in sorted(_provenance_files(root))]


def made_with(root: Path = Path()) -> list[dict[str, Any]]:
    """Return each distinct machine and set of versions among the runs."""
    found: list[dict[str, Any]] = []
    for path in sorted(_provenance_files(root)):
        made = json.loads(path.read_text(encoding="utf-8"))
        entry = {"machine": made["machine"], "versions": made["versions"]}
        if entry not in found:
            found.append(entry)
    return found


def write_run_tables(root: Path = Path()) -> None:
    """Write results/provenance/runs.{csv,html} and compute.{csv,html}."""
    rows = run_rows(root)
    if not rows:
        raise UserError(f"no finished run below {root / paths.RUNS}; run: make")
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    for name, content in (
        ("runs", _provenance_table(table, made_with(root))),
        ("compute", _compute_table(table)),
    ):
        outputs = [
            root / paths.provenance_table(name, extension)
            for extension in ("csv", "html")
        ]
        write_table(content, outputs)


def _provenance_files(root: Path) -> list[Path]:
    return list((root / paths.RUNS).glob(f"*/*/*/{paths.PROVENANCE_FILE}"))


def _describe(path: Path) -> dict[str, Any]:
    """Return one run's row."""
    made = json.loads(path.read_text(encoding="utf-8"))
    config = json.loads((path.parent / paths.CONFIG_FILE).read_text(encoding="utf-8"))
    known = config | config["training"] | made
    known["dataset_digest"] = made["dataset"]["digest"]
    return {column: known[column] for column in RUN_COLUMNS}


def _provenance_table(runs: pd.DataFrame, environments: Sequence[dict]) -> Table:
    """Return how every run was made: machines and versions, then run by run."""
    facts = [
        [number, kind, key, str(value)]
        for number, environment in enumerate(environments, start=1)
        for kind in ("machine", "versions")
        for key, value in environment[kind].items()
    ]
    shown = runs[list(SHOWN_COLUMNS)].copy()
    shown["num_gradient_steps"] = shown["num_gradient_steps"].map("{:,}".format)
    shown["dataset_digest"] = shown["dataset_digest"].str[:DIGEST_LENGTH]
    columns = ["environment", "of", "what", "value"]
    return Table(
        "How every run was made",
        runs,
        [
            Block("Machines and versions", pd.DataFrame(facts, columns=columns),
                  prose=True),
            Block("Runs", shown, prose=True),
        ],
        [
            "code_fingerprint: digest of the code that a run executes; comments, "
            "docstrings and other methods' files do not count.",
            "dataset_digest: first characters of the sha256 of what was trained on.",
        ],
    )  # fmt: skip


def _compute_table(runs: pd.DataFrame) -> Table:
    """Return what each method cost on each task, and the sum."""
    rows = []
    for (task, method, device), group in runs.groupby(
        ["task", "method", "device"], sort=False
    ):
        rows.append(
            {
                "task": task,
                "method": method,
                "device": device,
                "num_runs": len(group),
                "num_gradient_steps": int(group["num_gradient_steps"].sum()),
                "steps_per_second_per_run": float(group["steps_per_second"].mean()),
                "wall_hours": float(group["wall_seconds"].drop_duplicates().sum())
                / 3600.0,
                "peak_memory_mb": float(group["peak_memory_bytes"].max()) / 1e6,
            }
        )
    long = pd.DataFrame(rows)
    total = {
        "task": "all",
        "num_runs": long["num_runs"].sum(),
        "num_gradient_steps": long["num_gradient_steps"].sum(),
        "wall_hours": long["wall_hours"].sum(),
        "peak_memory_mb": long["peak_memory_mb"].max(),
    }
    shown = pd.DataFrame([*rows, total])
    for name, form in (
        ("num_runs", "{:,.0f}"),
        ("num_gradient_steps", "{:,.0f}"),
        ("steps_per_second_per_run", "{:,.1f}"),
        ("wall_hours", "{:.3f}"),
        ("peak_memory_mb", "{:,.0f}"),
    ):
        shown[name] = shown[name].map(form.format, na_action="ignore")
    shown = shown.fillna("")
    shown.columns = [name.replace("_", " ") for name in shown.columns]
    return Table(
        "What the runs cost",
        long,
        [Block("", shown, rules_above=frozenset([len(rows)]))],
        [
            "Wall hours are of training processes with their evaluations; seeds that "
            "trained together are counted once, processes side by side are added up.",
            "Making local data, figures and tables is not included.",
        ],
    )
