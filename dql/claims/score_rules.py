"""The rules for claims about D4RL scores, judged on a printed table or on runs.

On runs, averages over tasks are formed per seed, and a difference counts when its 95 %
interval (Welch) does. Too little data, or an interval that leaves it open, raises
`NotTestedError`; the printed table is plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from pydantic import Field

from dql.claims.scores import Average, Finding, Ground, NotListedError, NotTestedError
from dql.config.fields import Strict
from dql.results.published import NUM_PUBLISHED_SEEDS
from dql.results.statistics import PublishedMean, compare

ROUNDING = 0.05 + 1e-9
"""Half of the last digit that the paper prints."""


class ScoreRule(Protocol):
    """What a claim needs to know of a rule, whichever it is."""

    def words(self) -> str:
        """Return the rule as a reader's sentence."""

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""


class AverageAbove(Strict):
    """A method's average lies above each other one's by more than a margin."""

    average_above: float = Field(description="margin in normalised points")
    method: str
    others: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"average of {self.method} minus that of {', '.join(self.others)}: "
            f"above {self.average_above:g}, on runs with the whole 95 % interval"
        )

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method, *self.others]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        ours = ground.average(self.method)
        theirs = {name: ground.average(name) for name in self.others}
        intervals = {name: _difference(ours, other) for name, other in theirs.items()}
        numbers = {self.method: ours.mean}
        numbers |= {name: other.mean for name, other in theirs.items()}
        for name, (low, high) in intervals.items():
            if high <= self.average_above:
                gap = _gap_words(ours, theirs[name], low, high)
                return Finding(False, f"{gap} over {name}", numbers)
        for name, (low, high) in intervals.items():
            if low <= self.average_above:
                raise NotTestedError(
                    f"inconclusive: {_gap_words(ours, theirs[name], low, high)} over "
                    f"{name}, which includes {self.average_above:g}"
                )
        name, (low, high) = min(intervals.items(), key=lambda item: item[1])
        gap = _gap_words(ours, theirs[name], low, high)
        nearest = ", the nearest" if len(self.others) > 1 else ""
        return Finding(True, f"{gap} over {name}{nearest}", numbers)


class BestIn(Strict):
    """A method's mean is the highest of all in at least K of the tasks."""

    best_in: int = Field(gt=0)
    method: str
    others: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return f"mean of {self.method} the highest in at least {self.best_in} tasks"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method, *self.others]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding; tasks without all numbers count for neither side."""
        best, beaten, unknown = [], {}, []
        for task in ground.tasks:
            try:
                leader = self._leader(ground, task)
            except NotTestedError as error:
                unknown.append(f"{task}: {error}")
                continue
            if leader == self.method:
                best.append(task)
            else:
                beaten[task] = leader
        numbers = {"best in": len(best), "of": len(ground.tasks)}
        words = f"best in {len(best)} of {len(ground.tasks)} tasks"
        if beaten:
            words += f"; not in {_pairs(beaten)}"
        if unknown:
            words += f"; without all numbers: {'; '.join(unknown)}"
        if len(best) >= self.best_in:
            return Finding(True, words, numbers)
        if len(best) + len(unknown) >= self.best_in:
            raise NotTestedError(words)
        return Finding(False, words, numbers)

    def _leader(self, ground: Ground, task: str) -> str:
        """Return the method with a task's highest mean; ours where they tie."""
        ours = ground.source.scores(task, self.method, ground.selection).mean
        means = {}
        for name in self.others:
            try:
                means[name] = ground.source.scores(task, name, ground.selection).mean
            except NotListedError:
                continue  # the paper compares with those that it has numbers of
        top = max(means, key=means.__getitem__)
        return top if round(means[top], 1) > round(ours, 1) else self.method


class AverageIs(Strict):
    """A method's average over the tasks is the stated one."""

    average_is: float
    method: str

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"average of {self.method} is {self.average_is:g}: as rounded in print, "
            "equivalent within 5 points on runs"
        )

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method]

    def judge(self, ground: Ground) -> Finding:
        """Return the finding, or raise `NotTestedError`."""
        ours = ground.average(self.method)
        numbers = {self.method: ours.mean, "stated": self.average_is}
        words = f"{ours.mean:.2f}, stated {self.average_is:g}"
        if not len(ours.per_seed):
            return Finding(abs(ours.mean - self.average_is) <= ROUNDING, words, numbers)
        stated = PublishedMean(self.average_is, None, NUM_PUBLISHED_SEEDS)
        comparison = compare(ours.per_seed, stated)
        words += f": {comparison.verdict} ({comparison.reason})"
        if comparison.verdict == "inconclusive":
            raise NotTestedError(words)
        return Finding(comparison.verdict == "reproduced", words, numbers)


SCORE_RULES = (AverageAbove, BestIn, AverageIs)


def _difference(ours: Average, theirs: Average) -> tuple[float, float]:
    """Return the interval of the difference; a point where nothing was run."""
    if not len(ours.per_seed):
        gap = ours.mean - theirs.mean
        return gap, gap
    count = len(theirs.per_seed) or NUM_PUBLISHED_SEEDS
    other = PublishedMean(theirs.mean, theirs.standard_error, count)
    interval = compare(ours.per_seed, other).interval_95
    if interval is None:
        raise NotTestedError("one seed has no standard error")
    return interval


def _gap_words(ours: Average, theirs: Average, low: float, high: float) -> str:
    """Return a difference in words, with the printed errors where both have them."""
    if low < high:
        return f"95 % interval [{low:+.1f}, {high:+.1f}]"
    errors = (ours.standard_error, theirs.standard_error)
    if None in errors:
        return f"{low:+.1f} points"
    return f"{low:+.1f} points (standard error {np.hypot(*errors):.1f})"


def _pairs(values: Mapping[str, str]) -> str:
    """Return `task (leader)` for each."""
    return ", ".join(f"{task} ({name})" for task, name in values.items())
