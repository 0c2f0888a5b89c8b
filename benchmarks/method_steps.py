"""Milliseconds per gradient step of every method, at the sizes of the recorded slice.

python benchmarks/method_steps.py [--method NAME ...] times steps of the local suite's
methods at scale `ablations`, which `recorded_slice.py` trains, on random data, one by
one, then those of the bandit alone at its sizes, and writes
results/benchmarks/method_steps.json; with --method, the others' rows there stay. What
is counted is the processor's time, in which other processes have no part; a run's share
of a step of all seeds.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Annotated

import torch
import typer
from recorded_slice import SIZES_OF, methods_of
from rich.console import Console
from rich.table import Table
from storage import store

from dql.config.project import Project, load_project
from dql.training.plan import measure
from dql.training.process import keep_freed_memory

OUTPUT = Path("results/benchmarks/method_steps.json")
BANDIT = "bandit-axes"
CPU = torch.device("cpu")


def bandit_methods_of(project: Project) -> list[str]:
    """Return the methods that play the bandit alone at this scale."""
    elsewhere = methods_of(project)
    names = (name for name in project.suite("bandit").methods if "@" not in name)
    return [name for name in names if name not in elsewhere]


def milliseconds(project: Project, method: str) -> float:
    """Return a method's milliseconds of a step, of one of its suite's seeds."""
    task = BANDIT if method in bandit_methods_of(project) else SIZES_OF
    seeds = project.suite(project.task(task).suite).seeds
    run = project.run_config(task, method, seeds[0])
    return 1e3 * measure(run, len(seeds), CPU, process_time).seconds_per_step


def main(
    method: Annotated[
        list[str] | None, typer.Option(help="A method; default: all of them.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time every method's gradient step on one core, print and write it."""
    torch.set_num_threads(1)
    keep_freed_memory()
    project = load_project(scale="ablations")
    found: dict[str, float] = {}
    if method and output.is_file():
        found = json.loads(output.read_text(encoding="utf-8"))["milliseconds_per_step"]
    table = Table("method", "ms per step")
    for name in method or [*methods_of(project), *bandit_methods_of(project)]:
        found[name] = milliseconds(project, name)
        table.add_row(name, f"{found[name]:.2f}")
    Console().print(table)
    content = {
        "milliseconds_per_step": found,
    }
    store(output, content)


if __name__ == "__main__":
    typer.run(main)
