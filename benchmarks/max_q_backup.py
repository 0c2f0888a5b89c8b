"""What the max-Q backup adds to a gradient step of Diffusion-QL, on AntMaze.

python benchmarks/max_q_backup.py times steps of one run at the dimensions of AntMaze
with the backup (ten next actions a row, of which the critics' largest value is the
target's) and without it, in turn, on one core, and writes
results/benchmarks/max_q_backup.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from core_step import DIMENSIONS, make_core
from flops import diffusion_ql_products
from storage import store
from timing import INTERVAL, milliseconds_in_turn

from dql.training.process import keep_freed_memory

OUTPUT = Path("results/benchmarks/max_q_backup.json")
CPU = torch.device("cpu")
WITH = DIMENSIONS["antmaze"]
WAYS = {"with": WITH, "without": WITH._replace(max_q_backup=False)}


def main(
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
    seconds: Annotated[float, typer.Option(help="How long to look.")] = 60,
) -> None:
    """Time a step both ways, print and write what was found."""
    torch.set_num_threads(1)
    keep_freed_memory()
    jobs = [make_core(dims, 1, CPU) for dims in WAYS.values()]
    times = milliseconds_in_turn(jobs, [INTERVAL] * len(jobs), seconds)
    products = [
        diffusion_ql_products(
            dims.observation, dims.action, num_backup_samples=dims.num_backup_samples
        )
        for dims in WAYS.values()
    ]
    flops = [sum(product.flops for product in layers) for layers in products]
    found = {
        name: {"milliseconds": time, "necessary_flops": count}
        for name, time, count in zip(WAYS, times, flops, strict=True)
    }
    for name, row in found.items():
        billions = row["necessary_flops"] / 1e9
        print(f"{name:8} {row['milliseconds']:6.1f} ms {billions:5.1f} GFLOP")
    print(f"times    {times[0] / times[1]:6.2f}    {flops[0] / flops[1]:5.2f}")
    content = {
        "steps": found,
    }
    store(output, content)


if __name__ == "__main__":
    typer.run(main)
