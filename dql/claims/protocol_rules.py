"""The rules for claims about protocol and cost: selection, print, time, divergence."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from dql.claims.scores import (
    Finding,
    Ground,
    NotTestedError,
    PublishedSource,
    Selection,
    table_name,
)
from dql.config.fields import Strict
from dql.results.published import load_scores


class SelectionGap(Strict):
    """The first selection's score exceeds the second's by at most so many points."""

    selection_gap: tuple[Selection, Selection]
    at_most: float
    method: str
    every_task: bool = False

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        first, second = self.selection_gap
        what = "on every task" if self.every_task else "on average over the tasks"
        return f"{self.method}: {first} minus {second} at most {self.at_most:g} {what}"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        first, second = self.selection_gap
        gaps = {
            task: ground.source.scores(task, self.method, first).mean
            - ground.source.scores(task, self.method, second).mean
            for task in ground.tasks
        }
        average, widest = float(np.mean(list(gaps.values()))), max(gaps, key=gaps.get)
        words = (
            f"{average:.1f} points on average, {gaps[widest]:.1f} at most ({widest})"
        )
        decisive = gaps[widest] if self.every_task else average
        return Finding(decisive <= self.at_most, words, {"average": average, **gaps})


class PrintedIn(Strict):
    """A table prints the same numbers of a method as another table does."""

    printed_in: Literal["table1", "table2", "table4"]
    method: str
    selection: Selection

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"numbers of {self.method} are those of {table_name(self.printed_in)}, "
            f"{self.selection}"
        )

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        other = PublishedSource(self.printed_in)
        pairs = {
            task: (
                _any_selection(ground, task, self.method),
                other.scores(task, self.method, self.selection).mean,
            )
            for task in ground.tasks
        }
        differing = {task: pair for task, pair in pairs.items() if pair[0] != pair[1]}
        listed = ", ".join(f"{t}: {a:g} / {b:g}" for t, (a, b) in differing.items())
        differ = f"{len(differing)} of {len(pairs)} differ; {listed}"
        words = differ if differing else "all are the same"
        return Finding(not differing, words, pairs)


class WithoutStandardErrors(Strict):
    """A table prints no standard error with any mean."""

    without_standard_errors: Literal[True]

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return "no mean of the table has a standard error beside it"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads: none by name."""
        return []

    def judge(self, ground: Ground) -> Finding:
        """Return the finding; a statement about print only."""
        if not isinstance(ground.source, PublishedSource):
            raise NotTestedError("a statement about a printed table")
        scores = load_scores(ground.source.table, ground.source.directory)
        chosen = [score for score in scores if score.task in ground.tasks]
        count = sum(score.standard_error is not None for score in chosen)
        words = f"{count} of {len(chosen)} printed means have one"
        return Finding(count == 0, words, {"with": count, "of": len(chosen)})


class Unpublished(Strict):
    """Nothing on file can decide the claim; the reason is the rule's value."""

    unpublished: str

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return "cannot be decided"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads: none."""
        return []

    def judge(self, ground: Ground) -> Finding:
        """Raise `NotTestedError` with the reason."""
        raise NotTestedError(self.unpublished)


class StepTimeRises(Strict):
    """The seconds of a gradient step rise along the listed methods, on every task."""

    step_time_rises: list[str] = Field(min_length=2)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return f"seconds per gradient step rise along {', '.join(self.step_time_rises)}"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return self.step_time_rises

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        numbers = {}
        for task in ground.tasks:
            costs = [ground.source.cell(task, m)["cost"] for m in self.step_time_rises]
            if len({tuple(cost["devices"]) for cost in costs}) > 1:
                raise NotTestedError(f"{task}: the runs were made on different devices")
            rates = [cost["steps_per_second"] for cost in costs]
            if None in rates:
                raise NotTestedError(f"{task}: a run has not recorded its speed")
            numbers[task] = [1000.0 / rate for rate in rates]
        listed = "; ".join(
            f"{task}: {' / '.join(f'{value:.2g}' for value in times)} ms"
            for task, times in numbers.items()
        )
        rising = sum((np.diff(times) > 0).all() for times in numbers.values())
        rises = rising == len(numbers)
        words = f"on {rising} of {len(numbers)} tasks; {listed}"
        return Finding(rises, words, numbers)


class DivergedAtMost(Strict):
    """So many runs of the listed methods diverge, and no more."""

    diverged_at_most: int = Field(ge=0)
    methods: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"at most {self.diverged_at_most} runs of {', '.join(self.methods)} diverge"
        )

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return self.methods

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        cells = [ground.source.cell(t, m) for t in ground.tasks for m in self.methods]
        diverged = sum(len(cell["diverged"]) for cell in cells)
        total = sum(len(cell["expected_seeds"]) for cell in cells)
        words = f"{diverged} of {total} runs diverged"
        satisfied = diverged <= self.diverged_at_most
        return Finding(satisfied, words, {"diverged": diverged, "of": total})


class KeptAfter(Strict):
    """In a share of the runs, one selection keeps a step not before another's."""

    kept_after: tuple[Selection, Selection]
    method: str
    share: float = Field(gt=0, le=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        first, second = self.kept_after
        return (
            f"{self.method}: the {first} checkpoint comes no earlier than the {second} "
            f"one in at least {100 * self.share:g} % of the runs"
        )

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        later = []
        for task in ground.tasks:
            scores = ground.source.cell(task, self.method)["scores"]
            if None in (scores[name]["mean"] for name in self.kept_after):
                raise NotTestedError(f"{task}: a selection has no checkpoint")
            first, second = (scores[name]["gradient_steps"] for name in self.kept_after)
            later += [first[seed] >= second[seed] for seed in first]
        words = f"in {sum(later)} of {len(later)} runs"
        numbers = {"later": sum(later), "of": len(later)}
        return Finding(np.mean(later) >= self.share, words, numbers)


PROTOCOL_RULES = (
    SelectionGap,
    KeptAfter,
    StepTimeRises,
    DivergedAtMost,
    PrintedIn,
    WithoutStandardErrors,
    Unpublished,
)


def _any_selection(ground: Ground, task: str, method: str) -> float:
    """Return the number that a table prints, whichever selection it states."""
    for selection in ("offline", "online"):
        try:
            return ground.source.scores(task, method, selection).mean
        except NotTestedError:
            continue
    raise NotTestedError(f"no number of {method} on {task}")
