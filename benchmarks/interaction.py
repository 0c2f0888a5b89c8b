"""What fresh interaction costs beside the updates that it feeds, on hopper.

Prints, for each method, the processor time of a gradient step alone and of one with an
environment step before it, as an online continuation takes them. The two take turns: a
shared machine slows both. At most 1.3 times the updates alone is wanted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dql.config.project import load_project
from dql.data.datasets import Dataset
from dql.training.gradient_steps import EagerSteps
from dql.training.interaction import Interaction
from dql.training.plan import random_dataset
from dql.training.process import keep_freed_memory
from dql.training.runs import Run, make_agent, make_store

TASK = "local-hopper-medium-expert"
METHODS = ("td3_bc", "iql", "fql", "sac", "idql", "diffusion_ql")
BLOCK = 100
"""Steps of a turn: whole rounds of the environments."""


def make_run(method: str) -> Run:
    """Return a continuation from weights and data that mean nothing."""
    variant = f"{method}@online=100000,start=scratch,start_steps=0,offline_share=0.5"
    suites = {"local": {"tasks": [TASK]}}
    project = load_project(scale="quick", overrides={"suites": suites})
    config = project.run_config(TASK, variant, 0)
    return Run(config, Path(), Dataset(**vars(random_dataset(11, 3))), {})


def milliseconds(step: Callable[[int], Any], start: int) -> float:
    """Return the processor time of a step over a turn, on all threads."""
    began = time.process_time()
    for number in range(start, start + BLOCK):
        step(number)
    return 1e3 * (time.process_time() - began) / BLOCK


def measure(method: str, num_turns: int) -> tuple[float, float]:
    """Return the milliseconds of a step alone and with interaction, means of turns."""
    run, device = make_run(method), torch.device("cpu")
    store = make_store([run], device)
    agent = make_agent([run], store, device)
    interaction, steps = Interaction([run], agent, store, 0), EagerSteps(agent, store)

    def alone(number: int) -> None:
        noise = interaction.streams.at(number)
        steps.take(number, noise | {"row": store.choose(noise)})

    def together(number: int) -> None:
        steps.take(number, interaction.at(number))

    milliseconds(together, 0)
    turns = range(1, num_turns + 1)
    pairs = [
        (milliseconds(alone, turn * BLOCK), milliseconds(together, turn * BLOCK))
        for turn in turns
    ]
    return tuple(sum(values) / num_turns for values in zip(*pairs, strict=True))


def main() -> None:
    """Measure and print one method after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"{'method':14}{'alone, ms':>12}{'together, ms':>14}{'ratio':>8}")
    for method in options.methods:
        alone, together = measure(method, options.turns)
        print(f"{method:14}{alone:12.2f}{together:14.2f}{together / alone:8.2f}")


if __name__ == "__main__":
    main()
