"""Milliseconds per gradient step of Diffusion-QL, as ratios within one run.

python benchmarks/gradient_steps.py [--quick] [--device D] [--dimensions NAME ...]
prints tables and writes results/benchmarks/gradient_steps.json, row by row. Compared
are, on the same machine in the same minutes: this core with R runs in lock step, a
plain PyTorch step (`plain_step.py`), and the floor: the step's necessary products
(`flops.py`) at the best rate of PyTorch's product. Where PyTorch's library leaves half
of a processor's vector width idle, the C kernels may pass below that floor. A GPU's
rows (`gpu_rows.py`) are of recorded and of eager steps, in float32 and TF32, with
kernels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from core_step import (
    BATCH_SIZE,
    DIMENSIONS,
    NUM_SEEDS,
    Dimensions,
    make_core,
    paper_steps,
)
from flops import diffusion_ql_products
from gpu_rows import gpu_ratios, measure_ways
from plain_step import PlainDiffusionQL
from processes import (
    CPU,
    milliseconds_without_kernels,
    startup_seconds,
    two_processes_over_one,
)
from rich.console import Console
from rich.table import Table
from storage import card_of, store
from timing import (
    INTERVAL,
    Steps,
    milliseconds_and_rate,
    milliseconds_in_turn,
    product_milliseconds,
    product_rate,
)

from dql.errors import UserError, nearest
from dql.training.process import choose_device, keep_freed_memory

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


def measure(
    name: str, num_runs: int, device: torch.device, seconds: float, ways: bool
) -> dict[str, Any]:
    """Measure this core at one size; counts are of one step of all its runs."""
    dims = DIMENSIONS[name]
    if ways:
        found = measure_ways(dims, num_runs, device, seconds)
        rate = product_rate(device)
    else:
        found, rate = measure_on_processor(dims, num_runs, seconds)
    products = diffusion_ql_products(
        dims.observation, dims.action, num_backup_samples=dims.num_backup_samples
    )
    flops = num_runs * sum(product.flops for product in products)
    milliseconds = found["milliseconds"]
    return {
        "device": device.type,
        "dimensions": name,
        "num_runs": num_runs,
        **found,
        "necessary_flops": flops,
        "necessary_bytes": num_runs * sum(product.num_bytes for product in products),
        "flops_per_second": flops / milliseconds * 1e3,
        "product_flops_per_second": rate,
        "times_the_floor": milliseconds / (flops / rate * 1e3),
    }


def measure_on_processor(
    dims: Dimensions, num_runs: int, seconds: float
) -> tuple[dict[str, float], float]:
    """Return a step's times, and the FLOP/s of products measured in turn."""
    steps = make_core(dims, num_runs, CPU)
    milliseconds, rate = milliseconds_and_rate(steps, CPU, seconds)
    inside = product_milliseconds(steps, CPU)
    times = {
        "milliseconds": milliseconds,
        "milliseconds_per_run": milliseconds / num_runs,
        "share_outside_products": max(0.0, 1 - inside / milliseconds),
    }
    return times, rate


def plain_and_core_milliseconds() -> tuple[float, float]:
    """Return a plain step's and this core's time for hopper, measured in turn."""
    core = make_core(DIMENSIONS["hopper"], 1, CPU)
    return tuple(milliseconds_in_turn([make_plain("hopper"), core], [INTERVAL] * 2, 15))


def summarize(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the ratios of one run, and the paper's table in hours."""
    alone = [
        row
        for row in rows
        if (row["dimensions"], row["num_runs"]) == ("hopper", 1)
        and "milliseconds_eager" not in row
    ]
    summary = processor_ratios(alone[0]) if alone else {}
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


def processor_ratios(alone: dict[str, Any]) -> dict[str, float]:
    """Return what one run's step on the CPU is set against, hopper's dimensions."""
    plain, core = plain_and_core_milliseconds()
    return {
        "plain step, ms": plain,
        "times as fast as the plain step": plain / core,
        "times as fast, without the C kernels": plain / milliseconds_without_kernels(),
        "times the floor": alone["times_the_floor"],
        "two processes over one": two_processes_over_one(),
        "start-up with compilation, s": startup_seconds(),
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
            f"{row['milliseconds']:.3g}",
            f"{row['milliseconds_per_run']:.3g}",
            f"{row['flops_per_second'] / 1e9:.0f}",
            f"{row['times_the_floor']:.2f}",
            f"{100 * row['share_outside_products']:.0f} %",
        )
    console = Console()
    console.print(table)
    for name, value in summary.items():
        console.print(f"{name}: {value:.4g}", highlight=False)


def write(output: Path, rows: list[dict[str, Any]], summary: dict[str, float]) -> None:
    """Write what is there so far: a machine may be lent for minutes."""
    store(output, {"summary": summary, "steps": rows, **card_of(rows)})


def main(
    quick: Annotated[bool, typer.Option(help="Hopper alone, R = 1 and 6.")] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto: the GPU, then the CPU.")
    ] = "auto",
    dimensions: Annotated[
        list[str] | None, typer.Option(help="Whose dimensions; default: all.")
    ] = None,
    runs: Annotated[
        list[int] | None, typer.Option(min=1, help="R; default: 1, 3, 6, 12, 24.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Of timing a row.")] = 30.0,
    ways: Annotated[
        bool, typer.Option(help="Measure on a processor what is measured on a GPU.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time gradient steps against a plain PyTorch step and against the floor."""
    torch.set_num_threads(1)
    keep_freed_memory()
    names = dimensions or (["hopper"] if quick else list(DIMENSIONS))
    counts = runs or ((1, 6) if quick else RUN_COUNTS)
    for name in names:
        if name not in DIMENSIONS:
            raise UserError(f"unknown dimensions {name!r}{nearest(name, DIMENSIONS)}")
    chosen = choose_device(device)
    # A GPU comes first: it may be lent for minutes, while a processor stays.
    devices = [chosen] if device != "auto" or chosen == CPU else [chosen, CPU]
    rows: list[dict[str, Any]] = []
    for place in devices:
        for name in names:
            for num_runs in counts:
                as_on_gpu = ways or place != CPU
                rows.append(measure(name, num_runs, place, seconds, as_on_gpu))
                write(output, rows, {})
    summary = summarize(rows)
    report(rows, summary)
    write(output, rows, summary)
    Console().print(f"written to {output}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
