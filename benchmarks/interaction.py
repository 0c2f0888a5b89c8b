"""What fresh interaction costs beside the updates that it feeds, on hopper.

python benchmarks/interaction.py [--method NAME ...] times, for each method, a gradient
step alone and one with an environment step before it, as an online continuation takes
them, and writes results/benchmarks/interaction.json; with --method, the others' rows
there stay. What is counted is the processor's time, and the two take turns in one
process: a shared machine slows both. Wanted is `MAX_RATIO` at most.

Policies are untrained, so that episodes are short: more of them begin than later on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from storage import store

from dql.config.project import load_project
from dql.data.datasets import Dataset
from dql.training.gradient_steps import EagerSteps
from dql.training.interaction import Interaction
from dql.training.plan import random_dataset
from dql.training.process import keep_freed_memory
from dql.training.runs import Run, make_agent, make_store

OUTPUT = Path("results/benchmarks/interaction.json")
TASK = "local-hopper-medium-expert"
METHODS = ("td3_bc", "iql", "fql", "sac", "idql", "diffusion_ql")
BLOCK = 100
"""Steps of a turn: whole rounds of the environments."""
MAX_RATIO = 1.3
"""Of a step with interaction to the update alone."""


def make_run(method: str) -> Run:
    """Return a continuation from weights and data that mean nothing."""
    variant = f"{method}@online=100000,start=scratch,start_steps=0,offline_share=0.5"
    suites = {"local": {"tasks": [TASK]}}
    project = load_project(scale="quick", overrides={"suites": suites})
    config = project.run_config(TASK, variant, 0)
    return Run(config, Path(), Dataset(**vars(random_dataset(11, 3))), {})


def milliseconds(step: Callable[[int], Any], start: int) -> float:
    """Return the processor time of a step over a turn, on all threads."""
    began = process_time()
    for number in range(start, start + BLOCK):
        step(number)
    return 1e3 * (process_time() - began) / BLOCK


def measure(method: str, num_turns: int) -> dict[str, float]:
    """Return a step's milliseconds alone and with interaction, means of all turns."""
    run, device = make_run(method), torch.device("cpu")
    rows = make_store([run], device)
    agent = make_agent([run], rows, device)
    interaction, steps = Interaction([run], agent, rows, 0), EagerSteps(agent, rows)

    def alone(number: int) -> None:
        noise = interaction.streams.at(number)
        steps.take(number, noise | {"row": rows.choose(noise)})

    def together(number: int) -> None:
        steps.take(number, interaction.at(number))

    milliseconds(together, 0)
    turns = range(1, num_turns + 1)
    pairs = [
        (milliseconds(alone, turn * BLOCK), milliseconds(together, turn * BLOCK))
        for turn in turns
    ]
    updates, both = (sum(times) / num_turns for times in zip(*pairs, strict=True))
    return {
        "num_steps": num_turns * BLOCK,
        "milliseconds_alone": updates,
        "milliseconds_together": both,
        "ratio": both / updates,
    }


def main(
    method: Annotated[
        list[str] | None, typer.Option(help="A method; default: all of them.")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="Of 100 steps each way.")] = 10,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time one method after the other, print and write what was found."""
    torch.set_num_threads(1)
    keep_freed_memory()
    found: dict[str, dict[str, float]] = {}
    if method and output.is_file():
        found = json.loads(output.read_text(encoding="utf-8"))["methods"]
    table = Table("method", "alone, ms", "together, ms", "ratio")
    for name in method or METHODS:
        row = found[name] = measure(name, turns)
        times = row["milliseconds_alone"], row["milliseconds_together"], row["ratio"]
        table.add_row(name, *(f"{value:.2f}" for value in times))
    Console().print(table)
    store(output, {"task": TASK, "methods": found})


if __name__ == "__main__":
    typer.run(main)
