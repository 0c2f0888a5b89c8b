"""The rules on scores, costs and print, each at its boundary."""

from types import SimpleNamespace

import numpy as np
import pytest

from dql.claims.protocol_rules import (
    DivergedAtMost,
    KeptAfter,
    SelectionGap,
    StepTimeRises,
    Unpublished,
    WithoutStandardErrors,
)
from dql.claims.score_rules import AverageAbove, AverageIs, BestIn
from dql.claims.scores import Ground, NotListedError, NotTestedError, Scores
from dql.results.statistics import standard_error

SEEDS = ("0", "1", "2", "3", "4")


class Table:
    """Scores by (method, task), of runs when they are lists, else printed."""

    def __init__(self, scores, cells=None):
        self.known, self.cells = scores, cells or {}

    def scores(self, task, method, selection):
        value = self.known.get((method, selection), self.known.get(method, {}))
        value = value.get(task) if isinstance(value, dict) else value
        if value is None:
            raise NotListedError(f"no number of {method} on {task}")
        if isinstance(value, Exception):
            raise value
        if isinstance(value, list):
            seeds = dict(zip(SEEDS, value, strict=False))
            error = standard_error(np.array(value))
            return Scores(float(np.mean(value)), error, seeds)
        return Scores(value, None, {})

    def cell(self, task, method):
        return self.cells[task, method]


def ground(scores, tasks=("a", "b"), cells=None):
    return Ground(Table(scores, cells), list(tasks), "offline")


def test_printed_averages_are_compared_as_they_are():
    rule = AverageAbove(average_above=1.0, method="ours", others=["x"])
    assert rule.judge(ground({"ours": 11.1, "x": 10.0})).satisfied
    assert not rule.judge(ground({"ours": 11.0, "x": 10.0})).satisfied
    with pytest.raises(NotTestedError):
        rule.judge(ground({"ours": 11.1, "x": {"a": 10.0}}))


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([20.0, 20.5, 21.0, 20.0, 20.5], True),
        ([8.0, 9.0, 8.5, 9.0, 8.0], False),
        ([5.0, 15.0, 12.0, 9.0, 11.0], None),
    ],
)
def test_averages_of_runs_are_compared_with_their_interval(values, outcome):
    rule = AverageAbove(average_above=0.0, method="ours", others=["x", "quoted"])
    others = {"x": [10.0, 10.5, 9.5, 10.0, 10.0], "quoted": 10.0}
    judged = ground({"ours": values, **others})
    if outcome is None:
        with pytest.raises(NotTestedError, match="inconclusive"):
            rule.judge(judged)
    else:
        assert rule.judge(judged).satisfied == outcome


def test_an_average_takes_the_seeds_that_every_task_has():
    values = {"a": [1.0, 2.0, 3.0], "b": [3.0, 4.0]}
    average = ground({"ours": values}).average("ours")
    assert average.per_seed.tolist() == [2.0, 3.0]
    assert average.mean == pytest.approx((2.0 + 3.5) / 2)


@pytest.mark.parametrize(
    ("needed", "third", "outcome"),
    [
        (2, 1.0, True),
        (3, 1.0, False),
        (3, 12.0, True),
        (3, NotTestedError("withheld"), None),
        (2, NotTestedError("withheld"), True),
    ],
)
def test_best_in_counts_tasks_and_leaves_unknown_ones_open(needed, third, outcome):
    rule = BestIn(best_in=needed, method="ours", others=["x", "elsewhere"])
    scores = {
        "ours": {"a": 10.0, "b": 10.0, "c": third},
        "x": {"a": 9.0, "b": 10.04, "c": 11.0},
        "elsewhere": {"a": 1.0},
    }
    judged = ground(scores, tasks="abc")
    if outcome is None:
        with pytest.raises(NotTestedError, match="without all numbers: c"):
            rule.judge(judged)
    else:
        assert rule.judge(judged).satisfied == outcome


def test_average_is_as_rounded_in_print_and_equivalent_on_runs():
    rule = AverageIs(average_is=69.6, method="ours")
    assert rule.judge(ground({"ours": 69.64})).satisfied
    assert not rule.judge(ground({"ours": 69.66})).satisfied
    assert rule.judge(ground({"ours": [69.0, 70.0, 69.5, 71.0, 70.5]})).satisfied
    assert not rule.judge(ground({"ours": [59.0, 60.0, 59.5, 61.0, 60.5]})).satisfied
    with pytest.raises(NotTestedError, match="inconclusive"):
        rule.judge(ground({"ours": [40.0, 99.0, 60.0, 80.0, 70.0]}))


def test_selection_gap_on_average_and_on_every_task():
    scores = {("ours", "online"): {"a": 16.0, "b": 10.0},
              ("ours", "offline"): {"a": 10.0, "b": 9.0}}  # fmt: skip
    options = {"selection_gap": ("online", "offline"), "method": "ours"}
    assert SelectionGap(at_most=3.5, **options).judge(ground(scores)).satisfied
    strict = SelectionGap(at_most=3.5, every_task=True, **options)
    finding = strict.judge(ground(scores))
    assert not finding.satisfied and "6.0 at most (a)" in finding.words


def cell(**changes):
    return {"cost": {"devices": ["cpu"], "steps_per_second": 100.0}, "diverged": [],
            "expected_seeds": [0, 1], **changes}  # fmt: skip


def speed(rate, device="cpu"):
    return cell(cost={"devices": [device], "steps_per_second": rate})


def test_step_time_must_rise_on_every_task():
    rule = StepTimeRises(step_time_rises=["n2", "n5"])
    rising = {("a", "n2"): speed(200.0), ("a", "n5"): speed(100.0),
              ("b", "n2"): speed(150.0), ("b", "n5"): speed(140.0)}  # fmt: skip
    assert rule.judge(ground({}, cells=rising)).satisfied
    assert not rule.judge(
        ground({}, cells=rising | {("b", "n5"): speed(160.0)})
    ).satisfied
    with pytest.raises(NotTestedError, match="different devices"):
        rule.judge(ground({}, cells=rising | {("b", "n5"): speed(99.0, "cuda")}))
    with pytest.raises(NotTestedError, match="not recorded"):
        rule.judge(ground({}, cells=rising | {("a", "n5"): speed(None)}))


def test_diverged_runs_are_counted():
    rule = DivergedAtMost(diverged_at_most=0, methods=["ours"])
    cells = {("a", "ours"): cell(), ("b", "ours"): cell()}
    assert rule.judge(ground({}, cells=cells)).satisfied
    cells["b", "ours"] = cell(diverged=[{"seed": 1}])
    finding = rule.judge(ground({}, cells=cells))
    assert not finding.satisfied and finding.words == "1 of 4 runs diverged"


@pytest.mark.parametrize(("share", "satisfied"), [(0.5, True), (0.75, False)])
def test_kept_after_counts_runs(share, satisfied):
    steps = {"offline": {"0": 300, "1": 100}, "online": {"0": 300, "1": 200}}
    scores = {
        name: {"mean": 1.0, "gradient_steps": kept} for name, kept in steps.items()
    }
    rule = KeptAfter(kept_after=("offline", "online"), method="ours", share=share)
    judged = ground({}, tasks="a", cells={("a", "ours"): cell(scores=scores)})
    assert rule.judge(judged).satisfied == satisfied


def test_what_is_not_published_is_never_decided():
    with pytest.raises(NotTestedError, match="because"):
        Unpublished(unpublished="because").judge(SimpleNamespace())
    with pytest.raises(NotTestedError, match="printed table"):
        WithoutStandardErrors(without_standard_errors=True).judge(ground({}))
