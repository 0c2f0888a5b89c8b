"""The cells that a suite's figures are drawn from, and words that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from dql.errors import UserError
from dql.results.statistics import (
    CONFIDENCE,
    bootstrap_interval,
    has_enough_seeds,
    student_interval,
)
from dql.tables.cells import Cell, read_cells

FOOTNOTE_WIDTH = 138
"""Characters of a line of footnote on a page's width."""
MAX_NAMED = 8
"""Cells with missing runs that are named one by one; more are only counted."""
NUM_RESAMPLES = 2_000
DATA_NOTES = {
    "local": "Data made by this workflow, not D4RL's: 0 is random actions, 100 the "
    "expert behind them.",
    "remade": "Remade data: D4RL's sets made again with published policies, not D4RL's "
    "files; scores by D4RL's reference returns.",
}


@dataclass(frozen=True)
class SuiteCells:
    """The cells of one suite, in the order of its tasks and methods."""

    cells: tuple[Cell, ...]

    @classmethod
    def load(cls, paths: Sequence[Path]) -> SuiteCells:
        """Read cells of one suite; one without curves, or of another suite, raises."""
        if not paths:
            raise UserError("a suite's figure needs at least one cell")
        cells = read_cells(paths)
        for path, cell in zip(paths, cells, strict=True):
            if "curves" not in cell or "selection_gap" not in cell:
                raise UserError(
                    f"{path} has no curves, it was made by an older version; "
                    f"remake it: dql aggregate {cell['task']} {cell['method']}"
                )
            if cell["suite"] != cells[0]["suite"]:
                raise UserError(
                    f"{path} is of suite {cell['suite']}, {paths[0]} of "
                    f"{cells[0]['suite']}; a figure shows one suite"
                )
        return cls(tuple(cells))

    @property
    def tasks(self) -> list[str]:
        """Return the tasks, in the order of the cells."""
        return list(dict.fromkeys(cell["task"] for cell in self.cells))

    @property
    def methods(self) -> dict[str, str]:
        """Return the methods' labels by name, in the order of the cells.

        How long runs went on online is said once where all did alike: in the notes.
        """
        played = self._environment_steps()
        alike = f"online = {played[0]}" if len(played) == 1 else ""
        return {c["method"]: _without(alike, c["label"]) for c in self.cells}

    def _environment_steps(self) -> list[int]:
        """Return what the online phases play, each number once; offline, nothing."""
        online = [cell.get("online") for cell in self.cells]
        if not all(online):
            return []
        return sorted({one["num_environment_steps"] for one in online})

    def of_task(self, task: str) -> list[Cell]:
        """Return the cells of a task."""
        return [cell for cell in self.cells if cell["task"] == task]

    def with_runs(self) -> list[Cell]:
        """Return the cells that count at least one run."""
        return [cell for cell in self.cells if cell["curves"]]

    def nothing_to_draw(self, why: str) -> list[str]:
        """Return the lines of a figure that has nothing to show."""
        return [f"{self.cells[0]['suite']} suite: nothing to draw", *wrap(why, 100)]

    def unit(self) -> str:
        """Return what a score of these cells is called on an axis."""
        units = {cell["score_unit"] for cell in self.cells}
        return "normalised score" if units == {"normalized"} else "episode return"

    def notes(self) -> list[str]:
        """Return what a reader must know about the runs: sizes, and what is missing."""
        shown = self.with_runs()
        seeds = _counts(len(cell["curves"]) for cell in shown)
        steps = _counts(cell["sizes"]["num_gradient_steps"] for cell in shown)
        episodes = _counts(cell["sizes"]["num_evaluation_episodes"] for cell in shown)
        plural = "seed" if seeds == "1" else "seeds"
        played = _counts(self._environment_steps())
        sizes = [f"{played} environment steps"] if played else []
        sizes += [f"{steps} gradient steps", f"{episodes} episodes each"]
        notes = [f"{seeds} {plural}, {', '.join(sizes)}."]
        absent = [c for c in self.cells if len(c["curves"]) < len(c["expected_seeds"])]
        if len(absent) > MAX_NAMED:
            planned = sum(len(cell["expected_seeds"]) for cell in self.cells)
            there = sum(len(cell["curves"]) for cell in self.cells)
            notes.append(
                f"{planned - there} of {planned} planned runs are not there: not "
                "finished, or diverged."
            )
        elif absent:
            names = ", ".join(map(self._absent_words, absent))
            notes.append(f"Missing or diverged runs: {names}.")
        data = DATA_NOTES.get(self.cells[0]["suite"])
        return [*notes, data] if data else notes

    def _absent_words(self, cell: Cell) -> str:
        """Return which cell lacks runs, and how many of how many."""
        planned, there = len(cell["expected_seeds"]), len(cell["curves"])
        name = f"{self.methods[cell['method']]} on {cell['task']}"
        return f"{name} ({planned - there} of {planned})"


def _without(part: str, label: str) -> str:
    """Return a method's label without a part of its variant in parentheses."""
    name, opening, variant = label.removesuffix(")").rpartition(" (")
    if not opening:
        return label
    kept = [one for one in variant.split(", ") if one != part]
    return f"{name} ({', '.join(kept)})" if kept else name


def curve_table(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (T,) that all seeds share, and scores (seeds, T).

    Gradient steps; of an online continuation, environment steps.
    """
    steps = _shared_steps(cell)
    rows = [
        dict(zip(curve["gradient_steps"], curve["scores"], strict=True))
        for curve in cell["curves"].values()
    ]
    scores = np.array([[row[step] for step in steps] for row in rows])
    return environment_steps(cell, np.array(steps)), scores


def _shared_steps(cell: Cell) -> list[int]:
    """Return the gradient steps at which every seed was evaluated."""
    curves = cell["curves"].values()
    return sorted(set.intersection(*(set(one["gradient_steps"]) for one in curves)))


def environment_steps(cell: Cell, steps: np.ndarray) -> np.ndarray:
    """Return the environment steps before gradient steps; offline, the latter."""
    online = cell.get("online")
    if not online:
        return steps
    played = online["start_steps"] + steps / online["updates_per_step"]
    return np.where(steps > 0, played, 0)


def curve_interval(cell: Cell) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the bounds (T,) of the mean curve's 95 % interval, None where unknown.

    From three seeds on over seeds; below, over the episodes of these seeds alone.
    """
    steps, (_, scores) = _shared_steps(cell), curve_table(cell)
    if has_enough_seeds(len(scores)):
        bounds = [
            bootstrap_interval(column, num_resamples=NUM_RESAMPLES)
            for column in scores.T
        ]
        return tuple(np.array(bounds).T)
    curves = list(cell["curves"].values())
    if any(curve.get("standard_errors") is None for curve in curves):
        return None
    rows = [
        dict(zip(curve["gradient_steps"], curve["standard_errors"], strict=True))
        for curve in curves
    ]
    errors = np.array([[row[step] for step in steps] for row in rows])
    error = np.sqrt((errors**2).sum(axis=0)) / len(errors)
    degrees = len(errors) * (cell["sizes"]["num_evaluation_episodes"] - 1)
    bounds = [
        student_interval(mean, width, degrees, CONFIDENCE)
        for mean, width in zip(scores.mean(axis=0), error, strict=True)
    ]
    return tuple(np.array(bounds).T)


def footnote_lines(sentences: Sequence[str]) -> list[str]:
    """Return sentences as lines that fit the page."""
    return wrap(" ".join(sentences), FOOTNOTE_WIDTH)


def _counts(values: Any) -> str:
    """Return the distinct counts, as `2` or `2 to 6`."""
    found = sorted(set(values))
    ends = found if len(found) < 2 else [found[0], found[-1]]
    return " to ".join(f"{value:,}" for value in ends)
