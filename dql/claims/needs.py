"""What a cell needs to decide a claim: whose data, which scale, steps, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dql.config.schema import TaskConfig


@dataclass(frozen=True)
class Needs:
    """What a cell needs to decide a claim; no steps: as many as the paper's."""

    source: str
    scale: str
    min_seeds: int
    min_gradient_steps: int | None = None


def num_finished(cell: Mapping[str, Any]) -> int:
    """Return how many of a cell's runs came to an end, diverged ones included."""
    return len(cell["seeds"]) + len(cell["diverged"])


def cell_problem(cell: Mapping[str, Any], task: TaskConfig, needs: Needs) -> str | None:
    """Return why a cell cannot decide a claim, whatever its seeds, or None."""
    if not num_finished(cell):
        return "has not been run"
    source = cell["dataset"].get("source")
    if source != needs.source:
        names = {"d4rl": "D4RL's", "remade": "remade data"}
        return f"its data are not {names[needs.source]} (source: {source})"
    if cell["physics"] != "d4rl":
        return f"evaluated in {cell['physics']} physics"
    if cell["scale"] != needs.scale:
        return f"made at scale {cell['scale']}, needs scale {needs.scale}"
    least = {
        "num_gradient_steps": needs.min_gradient_steps or task.num_gradient_steps,
        "num_evaluation_episodes": task.num_evaluation_episodes,
    }
    for key, needed in least.items():
        ours = cell["sizes"][key]
        if needed and ours < needed:
            return f"needs {needed:,} {key[4:].replace('_', ' ')}, has {ours:,}"
    return None
