"""What it takes to test a claim: the Snakemake target, its runs and gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pandas as pd

from dql import paths
from dql.config.project import Project


@dataclass(frozen=True)
class Cost:
    """Runs and their gradient steps at a scale; no scale: nothing has to be run."""

    scale: str | None
    num_runs: int
    num_gradient_steps: int

    def content(self) -> dict[str, Any]:
        """Return the cost as JSON holds it."""
        return asdict(self)


class Test(NamedTuple):
    """The Snakemake target that tests a claim, and what that costs."""

    target: str
    cost: Cost


NOTHING_TO_RUN = Test(str(paths.ALL_CLAIMS), Cost(None, 0, 0))


def runs_cost(project: Project, tasks: Sequence[str], methods: Sequence[str]) -> Cost:
    """Return the cost of all seeds of the methods on the tasks."""
    num_runs = num_steps = 0
    for task in tasks:
        for method in methods:
            seeds = project.seeds(task, method)
            steps = project.run_config(task, method, seeds[0]).training
            num_runs += len(seeds)
            num_steps += len(seeds) * steps.num_gradient_steps
    return Cost(project.config.scale, num_runs, num_steps)


def bandit_cost(project: Project, rules: Sequence[Any], layout: str) -> Cost:
    """Return the cost of the bandit runs that rules compare on a layout."""
    task = f"bandit-{layout}"
    listed = project.suite("bandit").methods_of(task)
    steps = [project.settings(task, m).get("num_denoising_steps") for m in listed]
    table = pd.DataFrame({"method": listed, "num_denoising_steps": steps})
    methods = [m for rule in rules for m in rule.methods_needed(table)]
    return runs_cost(project, [task], list(dict.fromkeys(methods)))


def cells_target(tasks: Sequence[str], methods: Sequence[str]) -> str:
    """Return the cells of the methods on the tasks as one word for a shell."""
    return str(paths.cell_file(_braces(tasks), _braces(methods)))


def _braces(names: Sequence[str]) -> str:
    """Return one name as it is, several as `{a,b}`, which a shell expands."""
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"
