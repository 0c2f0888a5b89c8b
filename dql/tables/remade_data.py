"""Remade data beside the D4RL sets they are named after: returns, states, the ruler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql.errors import UserError
from dql.results.files import read_json
from dql.tables.files import Block, Table, write_table

TITLE = "Remade data, and D4RL's sets of the same name"
NO_WHOLE_EPISODE = "none whole"
NOTES = (
    "Remade: published diffusion clones of D4RL's files, rolled out in D4RL's physics; "
    "none of D4RL's rows is in them. Returns: mean ± standard deviation over the "
    "episodes that were not cut.",
    "Medium-expert is half a medium and half an expert set: each half stands beside "
    "the D4RL set it is made after.",
    "States: distance of the means in D4RL's standard deviations, mean and largest "
    "over the dimensions; ratio of the standard deviations, mean over the dimensions.",
    "Ruler: error of published models of D4RL's states and actions when they denoise "
    "the data at sigma 0.05, 0.1, 0.2, over sigma and the root of the dimensions. "
    "In brackets: of recorded D4RL rows, where some are at hand.",
)

MAZE_NOTES = (
    "AntMaze: D4RL's goal-reaching ant walks shortest ways by the rules of D4RL's "
    "generator. Arrive: episodes that come within 0.5 of the goal they walk to. "
    "Rewarded: those that come within 0.5 of the one goal that rewards are of. Pieces: "
    "how many the set falls into at terminals and timeouts, the one number that is "
    "published of D4RL's files (TensorFlow Datasets). Step: from position to position.",
)


def write_comparison_table(
    comparisons: Sequence[Path], outputs: Sequence[Path]
) -> Table:
    """Write the table of stored comparisons; the suffix decides the format."""
    for path in comparisons:
        if not path.is_file():
            raise UserError(
                f"{path} is missing; make it with: dql data compare {path.stem}"
            )
    table = comparison_table([read_json(path) for path in comparisons])
    write_table(table, outputs)
    return table


def comparison_table(loaded: Sequence[dict[str, Any]]) -> Table:
    """Return the table of comparisons, as `dql data compare` writes them."""
    mazes = [content for content in loaded if "maze" in content]
    others = [content for content in loaded if "maze" not in content]
    rows = [row for content in others for row in _rows(content)]
    states = [_states(content) for content in others]
    blocks = []
    if others:
        blocks += [
            Block("Returns", pd.DataFrame([_returns_cells(row) for row in rows])),
            Block("States", pd.DataFrame(states)),
            Block("Ruler", pd.DataFrame([_ruler_cells(row) for row in rows])),
        ]
    if mazes:
        blocks.append(Block("AntMaze", pd.DataFrame([_maze_cells(m) for m in mazes])))
    long = [_long(row) for row in rows] + [_maze_long(content) for content in mazes]
    notes = (NOTES if others else ()) + (MAZE_NOTES if mazes else ())
    return Table(TITLE, pd.DataFrame(long), blocks, notes)


def _rows(content: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield a row for each D4RL set that a task's data stand for."""
    for rows in content["sets"]:
        ruler = [r for r in content["ruler"] if r["set"] == rows["reference"]]
        yield {"task": content["task"], **rows, "ruler": ruler}


def _difference(row: dict[str, Any]) -> str:
    """Return how far the mean return is from D4RL's, as a share of it."""
    ours, theirs = row["episode_return"], row["of_d4rl"]["episode_return"]
    return f"{ours['mean'] / theirs['mean'] - 1:+.1%}" if ours else NO_WHOLE_EPISODE


def _returns_cells(row: dict[str, Any]) -> dict[str, str]:
    ours, theirs = row["episode_return"], row["of_d4rl"]["episode_return"]
    return {
        "task": row["task"],
        "D4RL set": row["reference"],
        "transitions": f"{row['num_transitions']:,}",
        "episodes": f"{row['num_episodes']:,}",
        "return": _spread(ours),
        "of D4RL": _spread(theirs),
        "difference": _difference(row),
        "least, most": _extremes(ours),
        "of D4RL, least, most": _extremes(theirs),
    }


def _spread(values: dict[str, float] | None) -> str:
    if values is None:
        return NO_WHOLE_EPISODE
    return f"{values['mean']:.0f} ± {values['std']:.0f}"


def _extremes(values: dict[str, float] | None) -> str:
    if values is None:
        return NO_WHOLE_EPISODE
    return f"{values['min']:.0f}, {values['max']:.0f}"


def _states(content: dict[str, Any]) -> dict[str, str]:
    states = content["states"]
    theirs = {name: np.array(values) for name, values in states["of_d4rl"].items()}
    shifts = np.abs(np.array(states["mean"]) - theirs["mean"]) / theirs["std"]
    ratios = np.array(states["std"]) / theirs["std"]
    return {
        "task": content["task"],
        "D4RL set": content["namesake"],
        "mean shift": f"{shifts.mean():.2f}",
        "largest shift": f"{shifts.max():.2f}",
        "spread ratio": f"{ratios.mean():.2f}",
        "least, most": f"{ratios.min():.2f}, {ratios.max():.2f}",
    }


def _ruler_cells(row: dict[str, Any]) -> dict[str, str]:
    cells = {"task": row["task"], "D4RL set": row["reference"]}
    for entry in row["ruler"]:
        known = entry["of_d4rl"]
        of_d4rl = "" if known is None else f" ({known:.2f})"
        name = f"{entry['kind']} {entry['sigma']:g}"
        cells[name] = f"{entry['error']:.2f}{of_d4rl}"
    return cells


def _maze_cells(content: dict[str, Any]) -> dict[str, str]:
    median = content["median_steps_to_goal"]
    return {
        "task": content["task"],
        "D4RL set": content["namesake"],
        "transitions": f"{content['num_transitions']:,}",
        "episodes": f"{content['num_episodes']:,}",
        "arrive": f"{content['arrived_share']:.1%}",
        "after steps (median)": "–" if median is None else f"{median:.0f}",
        "rewarded": f"{content['rewarded_share']:.1%}",
        "return": f"{content['return_mean']:.1f} ± {content['return_std']:.1f}",
        "pieces": f"{content['num_pieces']:,}",
        "of D4RL": f"{content['of_d4rl']['num_pieces']:,}",
        "step": f"{content['step_mean']:.3f} ± {content['step_std']:.3f}",
        "actions at a bound": f"{content['at_bound_share']:.1%}",
    }


def _maze_long(content: dict[str, Any]) -> dict[str, Any]:
    """Return a row for machines, one column a number; lists stay in the comparison."""
    values = {"task": content["task"], "reference": content["namesake"]}
    values |= {
        name: value
        for name, value in content.items()
        if isinstance(value, int | float) or value is None
    }
    theirs = content["of_d4rl"]
    return values | {
        "d4rl_num_transitions": theirs["num_transitions"],
        "d4rl_num_pieces": theirs["num_pieces"],
    }


def _long(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for machines, one column a number."""
    facts = row["of_d4rl"]
    values = {
        "task": row["task"],
        "reference": row["reference"],
        "num_transitions": row["num_transitions"],
        "num_episodes": row["num_episodes"],
        "d4rl_num_transitions": facts["num_transitions"],
    }
    for name, value in facts["episode_return"].items():
        values[f"return_{name}"] = (row["episode_return"] or {}).get(name)
        values[f"d4rl_return_{name}"] = value
    for entry in row["ruler"]:
        values[f"ruler_{entry['kind']}_{entry['sigma']:g}"] = entry["error"]
        values[f"d4rl_ruler_{entry['kind']}_{entry['sigma']:g}"] = entry["of_d4rl"]
    return values
