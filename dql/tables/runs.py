"""Every finished run in one table: how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.errors import UserError
from dql.results.files import read_json
from dql.tables.files import Block, Table, write_table

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
        made = read_json(path)
        for session in (*made.get("earlier_sessions", []), made):
            entry = {key: session[key] for key in ("machine", "versions")}
            if entry not in found:
                found.append(entry)
    return found


def write_run_table(root: Path = Path()) -> None:
    """Write results/provenance/runs.{csv,html}."""
    rows = run_rows(root)
    if not rows:
        raise UserError(f"no finished run below {root / paths.RUNS}; run: make")
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    outputs = [root / paths.run_table(extension) for extension in ("csv", "html")]
    write_table(_provenance_table(table, made_with(root)), outputs)


def _provenance_files(root: Path) -> list[Path]:
    return list((root / paths.RUNS).glob(f"*/*/*/{paths.PROVENANCE_FILE}"))


def _describe(path: Path) -> dict[str, Any]:
    """Return one run's row."""
    made = read_json(path)
    config = read_json(path.parent / paths.CONFIG_FILE)
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
