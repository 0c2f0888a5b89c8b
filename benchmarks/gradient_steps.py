"""Milliseconds per gradient step of Diffusion-QL, as ratios within one run.

python benchmarks/gradient_steps.py [--quick] prints tables and writes
results/benchmarks/gradient_steps.json. Compared are, on the same machine in the same
minutes: this core with R runs in lock step, a plain PyTorch step (`plain_step.py`), and
the floor: the step's necessary products (`flops.py`) at the best rate of PyTorch's
product. Where PyTorch's library leaves half of a processor's vector width idle, the C
kernels may pass below that floor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from core_step import BATCH_SIZE, DIMENSIONS, NUM_SEEDS, make_core, paper_steps
from flops import diffusion_ql_products
from plain_step import PlainDiffusionQL
from processes import (
    CPU,
    milliseconds_without_kernels,
    startup_seconds,
    two_processes_over_one,
)
from rich.console import Console
from rich.table import Table
from timing import (
    INTERVAL,
    Steps,
    milliseconds_and_rate,
    milliseconds_in_turn,
    milliseconds_per_step,
    product_milliseconds,
)

from dql.results.provenance import machine, versions
from dql.training.process import keep_freed_memory

RUN_COUNTS = (1, 3, 6, 12, 24)
OUTPUT = Path("results/benchmarks/gradient_steps.json")


def make_plain(name: str) -> Steps:
    """Return plain PyTorch steps on one fixed batch."""
    dims = DIMENSIONS[name]
    agent = PlainDiffusionQL(dims.observation, dims.action)
    batch = (
        torch.randn(BATCH_SIZE, dims.observation),
        torch.rand(BATCH_SIZE, dims.action) * 2 - 1,
        torch.randn(BATCH_SIZE, 1),
        torch.randn(BATCH_SIZE, dims.observation),
        torch.zeros(BATCH_SIZE, 1),
    )

    def steps(count: int) -> None:
        for _ in range(count):
            agent.step(*batch)

    return steps


def measure(name: str, num_runs: int, device: torch.device) -> dict[str, Any]:
    """Measure this core at one size; counts are of one step of all its runs."""
    dims = DIMENSIONS[name]
    steps = make_core(dims, num_runs, device)
    milliseconds, rate = milliseconds_and_rate(steps, device)
    products = diffusion_ql_products(
        dims.observation, dims.action, num_backup_samples=dims.num_backup_samples
    )
    flops = num_runs * sum(product.flops for product in products)
    inside = product_milliseconds(steps, device)
    return {
        "device": str(device),
        "dimensions": name,
        "num_runs": num_runs,
        "milliseconds": milliseconds,
        "milliseconds_per_run": milliseconds / num_runs,
        "necessary_flops": flops,
        "necessary_bytes": num_runs * sum(product.num_bytes for product in products),
        "flops_per_second": flops / milliseconds * 1e3,
        "product_flops_per_second": rate,
        "times_the_floor": milliseconds / (flops / rate * 1e3),
        "share_outside_products": max(0.0, 1 - inside / milliseconds),
    }


def plain_and_core_milliseconds() -> tuple[float, float]:
    """Return a plain step's and this core's time for hopper, measured in turn."""
    core = make_core(DIMENSIONS["hopper"], 1, CPU)
    return tuple(milliseconds_in_turn([make_plain("hopper"), core], [INTERVAL] * 2, 15))


def summarize(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the ratios of one run on the CPU, and the paper's table in hours."""
    first = rows[0]
    plain, core = plain_and_core_milliseconds()
    without = milliseconds_without_kernels()
    summary = {
        "plain step, ms": plain,
        "times as fast as the plain step": plain / core,
        "times as fast, without the C kernels": plain / without,
        "times the floor": first["times_the_floor"],
        "two processes over one": two_processes_over_one(),
        "start-up with compilation, s": startup_seconds(),
    }
    summary |= gpu_ratios(rows)
    for device in dict.fromkeys(row["device"] for row in rows):
        per_run = {
            row["dimensions"]: row["milliseconds_per_run"]
            for row in rows
            if row["num_runs"] == NUM_SEEDS and row["device"] == device
        }
        if set(per_run) == set(DIMENSIONS):
            milliseconds = sum(per_run[name] * n for name, n in paper_steps().items())
            hours = NUM_SEEDS * milliseconds / 3.6e6
            summary[f"hours of the paper's table, {NUM_SEEDS} seeds, {device}"] = hours
    return summary


def gpu_ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return what company costs on a GPU, and what recording the step saves."""
    hopper = {
        row["num_runs"]: row["milliseconds"]
        for row in rows
        if row["device"] != "cpu" and row["dimensions"] == "hopper"
    }
    if not hopper:
        return {}
    device = torch.device("cuda")
    eager = make_core(DIMENSIONS["hopper"], 1, device, is_recorded=False)
    return {
        "six runs over one, GPU": hopper[6] / hopper[1],
        "eager over recorded, GPU": milliseconds_per_step(eager) / hopper[1],
    }


def report(rows: list[dict[str, Any]], summary: dict[str, float]) -> None:
    """Print the table and the ratios."""
    table = Table(title="Diffusion-QL, batch 256, N = 5, one thread")
    for column in ("device", "dims of", "R", "ms/step", "ms/step/run", "GFLOP/s",
                   "x floor", "outside products"):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["device"],
            row["dimensions"],
            str(row["num_runs"]),
            f"{row['milliseconds']:.1f}",
            f"{row['milliseconds_per_run']:.1f}",
            f"{row['flops_per_second'] / 1e9:.0f}",
            f"{row['times_the_floor']:.2f}",
            f"{100 * row['share_outside_products']:.0f} %",
        )
    console = Console()
    console.print(table)
    for name, value in summary.items():
        console.print(f"{name}: {value:.4g}", highlight=False)


def main(
    quick: Annotated[bool, typer.Option(help="Hopper alone, R = 1 and 6.")] = False,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time gradient steps against a plain PyTorch step and against the floor."""
    torch.set_num_threads(1)
    keep_freed_memory()
    devices = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]
    rows = [
        measure(name, num_runs, device)
        for device in devices
        for name in (["hopper"] if quick else DIMENSIONS)
        for num_runs in ((1, 6) if quick else RUN_COUNTS)
    ]
    summary = summarize(rows)
    report(rows, summary)
    content = {
        "summary": summary,
        "steps": rows,
        "machine": machine(),
        "versions": versions(),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    Console().print(f"written to {output}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
