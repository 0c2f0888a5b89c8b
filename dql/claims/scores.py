"""Where a D4RL claim's scores come from: the paper's tables, or cells made here.

Both answer with scores or raise `NotTestedError` with the reason. A cell counts only at
the paper's protocol: D4RL's data and physics, the task's gradient steps, enough seeds.
Local data and shorter runs never decide a claim about D4RL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from dql import paths
from dql.claims.needs import Needs, cell_problem, num_finished
from dql.config.schema import TaskConfig
from dql.results.files import read_json
from dql.results.published import PublishedScore, load_scores
from dql.results.statistics import standard_error

Selection = Literal["last", "offline", "online"]


class NotTestedError(Exception):
    """The data are not there or say too little; the message is the reason."""


class TooFewSeedsError(NotTestedError):
    """All cells are there, some with fewer seeds than a verdict needs."""


class NotListedError(NotTestedError):
    """A table does not list the method on the task at all."""


@dataclass(frozen=True)
class Scores:
    """A method's scores on a task: the mean, its error, and (runs only) each seed's."""

    mean: float
    standard_error: float | None
    per_seed: Mapping[str, float]


class Source(Protocol):
    """What a rule asks for scores."""

    def scores(self, task: str, method: str, selection: Selection) -> Scores:
        """Return the scores, or raise `NotTestedError`."""

    def cell(self, task: str, method: str) -> Mapping[str, Any]:
        """Return a cell made here, or raise `NotTestedError`."""


def table_name(table: str) -> str:
    """Return `Table 1` for `table1`."""
    return f"Table {table.removeprefix('table')}"


@dataclass(frozen=True)
class PublishedSource:
    """The numbers of one table of the paper that a source prints."""

    table: str
    directory: Path = paths.PUBLISHED

    @cached_property
    def _printed(self) -> list[PublishedScore]:
        """Return the numbers of the table that a source prints."""
        return load_scores(self.table, self.directory)

    @cached_property
    def _withheld(self) -> list[PublishedScore]:
        """Return the numbers of the table that no source prints."""
        return load_scores(self.table, self.directory, withheld=True)

    def scores(self, task: str, method: str, selection: Selection) -> Scores:
        """Return the printed number of a method, by our name or the paper's."""
        for score in self._printed:
            if _is(score, task, method, selection):
                return Scores(score.score, score.standard_error, {})
        for score in self._withheld:
            if _is(score, task, method, selection):
                raise NotTestedError(
                    f"no source prints {method} on {task}; {score.note}"
                )
        raise NotListedError(
            f"{table_name(self.table)} has no number of {method} on {task}"
        )

    def cell(self, task: str, method: str) -> Mapping[str, Any]:
        """Raise: a printed table has no runs."""
        raise NotTestedError("a printed table has no runs")


def _is(score: PublishedScore, task: str, method: str, selection: Selection) -> bool:
    """Tell whether a printed number is a method's; most state no selection."""
    return (
        score.task == task
        and method in (score.method, score.published_name)
        and score.selection in (selection, "not stated")
    )


@dataclass(frozen=True)
class RunSource:
    """Cells made here; a name that only the paper has is quoted from its table.

    Without a table to quote, as on remade data, such a name has no score.
    """

    tasks: Mapping[str, TaskConfig]
    methods: Collection[str]
    needs: Needs
    quoted: PublishedSource | None
    root: Path = Path()

    def scores(self, task: str, method: str, selection: Selection) -> Scores:
        """Return the scores over seeds, the last evaluation's where L_d has no say."""
        if method.partition("@")[0] not in self.methods:
            if self.quoted is None:
                raise NotTestedError(f"{method} is not run here")
            return self.quoted.scores(task, method, selection)
        known = self.cell(task, method)["scores"]
        chosen = known[selection]
        if chosen["mean"] is None and selection == "offline":
            chosen = known["last"]
        count = len(chosen.get("per_seed", ()))
        if count < self.needs.min_seeds:
            raise TooFewSeedsError(
                f"{method} on {task} needs {self.needs.min_seeds} seeds with a "
                f"{selection} score, has {count}"
            )
        values = np.array(list(chosen["per_seed"].values()))
        return Scores(chosen["mean"], standard_error(values), chosen["per_seed"])

    def cell(self, task: str, method: str) -> Mapping[str, Any]:
        """Return a cell that is large enough to say something."""
        path = self.root / paths.cell_file(task, method)
        if not path.is_file():
            raise NotTestedError(f"{method} on {task} has not been run")
        cell = read_json(path)
        problem = cell_problem(cell, self.tasks[task], self.needs)
        if problem:
            raise NotTestedError(f"{method} on {task}: {problem}")
        finished = num_finished(cell)
        if finished < self.needs.min_seeds:
            least = self.needs.min_seeds
            raise TooFewSeedsError(
                f"{method} on {task}: needs {least} seeds, has {finished}"
            )
        return cell

    def require(self, cells: Sequence[tuple[str, str]]) -> None:
        """Raise unless every cell can be used; those that cannot are named."""
        problems = []
        for task, method in cells:
            try:
                self.cell(task, method)
            except NotTestedError as error:
                problems.append(error)
        if not problems:
            return
        if not any(self._seeds(*cell) for cell in cells):
            raise NotTestedError("no runs")
        listed = "; ".join(map(str, problems))
        if all(isinstance(error, TooFewSeedsError) for error in problems):
            counts = [self._seeds(*cell) for cell in cells]
            raise TooFewSeedsError(
                f"{min(counts)} of the {self.needs.min_seeds} seeds needed; {listed}"
            )
        raise NotTestedError(
            f"{len(problems)} of {len(cells)} cells missing or too small; {listed}"
        )

    def _seeds(self, task: str, method: str) -> int:
        """Return how many runs of a cell have finished, diverged ones included."""
        path = self.root / paths.cell_file(task, method)
        return num_finished(read_json(path)) if path.is_file() else 0


@dataclass(frozen=True)
class Finding:
    """What a rule found: satisfied or not, in words, with the numbers."""

    satisfied: bool
    words: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Average:
    """A method's average over tasks; per seed (num_seeds,) where it was run here."""

    mean: float
    standard_error: float | None
    per_seed: np.ndarray


@dataclass(frozen=True)
class Ground:
    """What a claim is judged on."""

    source: Source
    tasks: Sequence[str]
    selection: Selection

    def average(self, method: str, selection: Selection | None = None) -> Average:
        """Return the average over all tasks; one without a number raises."""
        selection = selection or self.selection
        found = [self.source.scores(task, method, selection) for task in self.tasks]
        mean = float(np.mean([score.mean for score in found]))
        seeds = set.intersection(*(set(score.per_seed) for score in found))
        if not seeds:
            errors = [score.standard_error for score in found]
            known = None not in errors
            total = float(np.sqrt(np.square(errors).sum())) if known else None
            return Average(mean, total and total / len(found), np.array([]))
        order = sorted(seeds, key=int)
        values = np.array([[score.per_seed[seed] for seed in order] for score in found])
        averages = values.mean(axis=0)
        return Average(mean, standard_error(averages), averages)
