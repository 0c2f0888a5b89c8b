"""Seconds and memory of converting and loading 1 million transitions, against limits.

python benchmarks/data.py [--num-transitions N] makes a file shaped as D4RL's hopper
files are, in a temporary folder, and does three things with it, each in a process of
its own: convert it to Minari, load it for the first time, load it again. Wall time
counts whatever else the machine does, CPU time does not: both are set against the
limit in seconds. The numbers go to results/benchmarks/data.json.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from storage import store

from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import d4rl, datasets

NUM_TRANSITIONS = 1_000_000
EPISODE_LENGTH = 481
"""About the mean of hopper-medium-v2: many short episodes are the slow case."""
LIMITS = {
    "convert": {"seconds": 60.0, "cpu_seconds": 60.0, "peak_bytes": 1.5e9},
    "first load": {"seconds": 10.0, "cpu_seconds": 10.0},
    "second load": {"seconds": 1.0, "cpu_seconds": 1.0},
}
OUTPUT = Path("results/benchmarks/data.json")
TASK = TaskConfig(
    name="hopper-medium-v2",
    suite="gym",
    environment="hopper",
    horizon=1000,
    dataset=DatasetConfig(
        source="d4rl", url="https://example.invalid/made-by-the-benchmark.hdf5"
    ),
)


def write_d4rl_file(path: Path, num_transitions: int) -> None:
    """Write a file with D4RL's keys, widths and compression; its rows are noise."""
    generator = np.random.default_rng(0)
    rows = np.arange(num_transitions)
    ends = rows % EPISODE_LENGTH == EPISODE_LENGTH - 1
    arrays = {
        "observations": generator.standard_normal((num_transitions, 11), np.float32),
        "actions": generator.uniform(-1, 1, (num_transitions, 3)).astype(np.float32),
        "rewards": generator.standard_normal(num_transitions, np.float32),
        "terminals": ends,
        "timeouts": np.zeros(num_transitions, dtype=bool),
    }
    arrays["next_observations"] = np.roll(arrays["observations"], -1, axis=0)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            # The lightest compression: writing this file is not what is measured.
            options = {"compression": "gzip", "compression_opts": 1}
            file.create_dataset(name, data=array, **options)


def do(stage: str, folder: Path) -> None:
    """Convert the folder's file, or load what it was converted to."""
    if stage == "convert":
        d4rl.convert(TASK, folder / "file.hdf5", "benchmark", folder)
    else:
        datasets.load_dataset(TASK, folder)


def put_measurement(stage: str, folder: Path, results: Any) -> None:
    """Put the seconds of one stage and its process's peak memory into a queue."""
    wall, cpu = time.perf_counter(), time.process_time()
    do(stage, folder)
    results.put(
        {
            "stage": stage,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024),
        }
    )


def measure(stage: str, folder: Path) -> dict[str, Any]:
    """Measure one stage in a new process, with its shares of the limits."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=put_measurement, args=(stage, folder, results))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("a process of the benchmark failed; see its message above")
    row = results.get()
    limits = LIMITS[stage]
    row["of_limit"] = {name: row[name] / limit for name, limit in limits.items()}
    return row


def report(rows: list[dict[str, Any]], num_transitions: int) -> None:
    """Print the table."""
    table = Table(title=f"{num_transitions:,} transitions shaped as hopper's")
    for column in ("stage", "s", "CPU s", "peak MB", "of the limits, s / CPU s / MB"):
        table.add_column(column, justify="right")
    for row in rows:
        shares = [f"{share:.2f}" for share in row["of_limit"].values()]
        table.add_row(
            row["stage"],
            f"{row['seconds']:.2f}",
            f"{row['cpu_seconds']:.2f}",
            f"{row['peak_bytes'] / 1e6:.0f}",
            " / ".join(shares),
        )
    Console().print(table)


def main(
    num_transitions: Annotated[
        int,
        typer.Option(min=EPISODE_LENGTH, help="Rows; the limits are for 1 million."),
    ] = NUM_TRANSITIONS,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time converting and loading a D4RL-sized dataset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_d4rl_file(folder / "file.hdf5", num_transitions)
        rows = [measure(stage, folder) for stage in LIMITS]
    report(rows, num_transitions)
    content = {
        "num_transitions": num_transitions,
        "stages": rows,
        "limits": LIMITS,
    }
    store(output, content)
    Console().print(f"written to {output}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
