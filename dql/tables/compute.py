"""What every cell cost: time, memory and device, from its runs' provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql import paths
from dql.results.files import UnusableRunError, read_json
from dql.results.runs import config_differences
from dql.tables.files import Block, Table, write_table

COLUMNS = (
    "suite", "task", "method", "num_runs", "num_expected", "num_gradient_steps",
    "wall_hours", "gpu_seconds", "steps_per_second", "peak_memory_bytes", "device",
)  # fmt: skip
HEADINGS = (
    "task", "method", "runs", "gradient steps", "wall hours", "GPU-seconds",
    "steps/s", "peak memory, GB", "device",
)  # fmt: skip
TITLES = {
    "bandit": "Bandit",
    "local": "Local data",
    "remade": "Remade data",
    "gym": "Gym",
    "antmaze": "AntMaze",
    "adroit": "Adroit",
    "kitchen": "Kitchen",
}


@dataclass(frozen=True)
class CellRuns:
    """A cell's expected runs: their common configuration, and seed by folder."""

    config: Mapping[str, Any]
    directories: Mapping[int, Path]


def write_compute_table(
    cells: Sequence[CellRuns], outputs: Sequence[Path], notes: Sequence[str] = ()
) -> Table:
    """Write the table; runs that are missing or foreign are named and not counted."""
    rows, left_out = [], []
    for cell in cells:
        row, problems = _cost(cell)
        rows.append(row)
        left_out += problems
    long = pd.DataFrame(rows, columns=[*COLUMNS, "label"])
    table = Table(
        "Compute",
        long[list(COLUMNS)],
        [
            _suite_block(title, long[long["suite"] == suite])
            for suite, title in TITLES.items()
            if (long["suite"] == suite).any()
        ],
        [
            "Wall hours and GPU-seconds: of all the runs of a cell, evaluations "
            "included. Runs trained in one process share its time, which counts once.",
            "Cores were idle or loaded by other work, which was not recorded: the same "
            "work may differ several times over in hours and steps/s.",
            "steps/s: gradient steps a second of one run, without evaluations, while "
            "others trained with it. Peak memory: of the process, the cell's largest.",
            *left_out,
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _cost(cell: CellRuns) -> tuple[dict[str, Any], list[str]]:
    """Return a cell's row, and notes: runs not counted, runs that stopped early."""
    config, records, problems, early = cell.config, [], [], []
    asked = config["training"]["num_gradient_steps"]
    for seed, directory in cell.directories.items():
        try:
            stored = read_json(directory / paths.CONFIG_FILE)
            record = read_json(directory / paths.PROVENANCE_FILE)
        except UnusableRunError as error:
            problems.append((seed, str(error)))
            continue
        foreign = config_differences(stored, {**config, "seed": seed})
        if foreign:
            problems.append((seed, f"other configuration: {', '.join(foreign[:3])}"))
            continue
        records.append(record)
        taken = record.get("num_gradient_steps", asked)
        if taken != asked:
            early.append((seed, f"at step {taken:,} of {asked:,}"))
    name = f"{config['task']}, {config['label']}"
    notes = [
        f"{what}: {name}, seed {seed}: {reason}"
        for what, found in (("left out", problems), ("stopped early", early))
        for seed, reason in found
    ]
    if not records and all(reason.endswith("no such file") for _, reason in problems):
        notes = []
    row = {
        "suite": config["suite"],
        "task": config["task"],
        "method": config["method"],
        "label": config["label"],
        "num_runs": len(records),
        "num_expected": len(cell.directories),
        "num_gradient_steps": asked,
    }
    return row | (_sums(records) if records else {}), notes


def _sums(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cost of runs; wall times of one process are equal."""
    processes = {r["wall_seconds"]: r for r in records if r.get("wall_seconds")}
    gpu = [r["gpu_seconds"] for r in processes.values() if "gpu_seconds" in r]
    rates = [r["steps_per_second"] for r in records if r.get("steps_per_second")]
    peaks = [r["peak_memory_bytes"] for r in records if r.get("peak_memory_bytes")]
    devices = sorted({str(r["device"]) for r in records if r.get("device")})
    return {
        "wall_hours": sum(processes) / 3600.0 if processes else None,
        "gpu_seconds": sum(gpu) if gpu else None,
        "steps_per_second": float(np.mean(rates)) if rates else None,
        "peak_memory_bytes": max(peaks, default=None),
        "device": ", ".join(devices) or None,
    }


def _suite_block(title: str, rows: pd.DataFrame) -> Block:
    """Return a suite's cells, and their total below if any was run."""
    body = [_text_row(row) for row in rows.to_dict("records")]
    rules = frozenset()
    if (rows["num_runs"] > 0).any():
        hours, seconds = rows["wall_hours"].sum(), rows["gpu_seconds"].sum()
        total = [f"{hours:.3g}", f"{seconds:,.0f}", "–", "–", "–"]
        runs = f"{rows['num_runs'].sum()}"
        rules = frozenset([len(body)])
        body.append(["total", "–", runs, "–", *total])
    return Block(title, pd.DataFrame(body, columns=HEADINGS), rules_above=rules)


def _text_row(row: Mapping[str, Any]) -> list[str]:
    """Return one cell as the table prints it."""
    runs, expected = row["num_runs"], row["num_expected"]
    shown = [row["task"], row["label"]]
    if not runs:
        return [*shown, "0", "–", "not run", "–", "–", "–", "–"]
    return [
        *shown,
        f"{runs}" if runs == expected else f"{runs} of {expected}",
        f"{row['num_gradient_steps']:,}",
        _number(row["wall_hours"], ".3g"),
        _number(row["gpu_seconds"], ",.0f"),
        _number(row["steps_per_second"], ",.1f"),
        _number(row["peak_memory_bytes"], ".2f", 1e-9),
        row["device"] or "–",
    ]


def _number(value: float | None, form: str, unit: float = 1.0) -> str:
    """Return a number in a format, or a dash where none was recorded."""
    return "–" if value is None or np.isnan(value) else f"{value * unit:{form}}"
