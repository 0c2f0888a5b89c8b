"""Compare a re-run with the stored run, its cell and the paper.

Levels of sameness with the stored run: bit for bit (same machine, versions, company);
within tolerance (rounding, which training amplifies); statistically alike (other noise
or another draw of the data: evaluations alone are held against each other); different.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dql import paths
from dql.config.schema import RunConfig
from dql.diagnostics.curves import (
    FIRST_TOLERANCE,
    METRIC_TOLERANCE,
    Curve,
    episode_scores,
    metric_curves,
    score_curve,
    score_unit,
)
from dql.diagnostics.differences import last_record, stored_steps
from dql.results.cell_facts import size_differences
from dql.results.files import read_json
from dql.results.published import NUM_PUBLISHED_SEEDS, PublishedScore, find_score
from dql.results.runs import StoredRun
from dql.results.statistics import Comparison, PublishedMean, compare
from dql.results.stored_runs import Address, RecordedRun

BIT_FOR_BIT = "same bit for bit"
WITHIN_TOLERANCE = "same within tolerance"
ALIKE = "statistically alike"
DIFFERENT = "different"


@dataclass(frozen=True)
class Score:
    """A mean with its standard error, over episodes or over seeds."""

    mean: float
    standard_error: float | None
    count: int
    unit: str

    def __str__(self) -> str:
        """Return the score as the comparison prints it."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        return f"{self.mean:.2f}{error} ({self.count} {self.unit})"


@dataclass(frozen=True)
class CellComparison:
    """Stored, re-run and published values of one run, with what they say.

    `num_gradient_steps` were compared of the stored run's; the cell's and the paper's
    numbers, and the verdict, are of whole runs and None for a first part.
    """

    task: str
    method: str
    seed: int
    stored_in: Path
    num_gradient_steps: int
    num_stored_gradient_steps: int
    score_unit: str
    sameness: str
    reasons: list[str]
    made_otherwise: list[str]
    scores: Curve | None
    metrics: list[Curve]
    stored: Score | None
    rerun: Score | None
    cell: Score | None
    published: PublishedScore | None
    verdict: Comparison | None
    cost: dict[str, Any]
    sizes: list[str]
    rerun_directory: Path

    @property
    def is_same(self) -> bool:
        """Tell whether the re-run gave what is stored, at whichever level."""
        return self.sameness != DIFFERENT

    @property
    def is_whole(self) -> bool:
        """Tell whether all of the stored run was trained again."""
        return self.num_gradient_steps == self.num_stored_gradient_steps


def compare_cell(
    run: RunConfig,
    stored: RecordedRun,
    address: Address,
    again: RecordedRun,
    *,
    same_draws: bool = True,
    made_otherwise: Sequence[str] = (),
    published: Path = paths.PUBLISHED,
) -> CellComparison:
    """Return how a re-run compares with the stored run, its cell and the paper.

    `run` has the re-run's gradient steps. Without `same_draws` the noise or the rows of
    data were others, and metrics are shown but not judged.
    """
    before, after = stored.run, again.run
    last, total = run.training.num_gradient_steps, stored_steps(before)
    scores, metrics = (
        score_curve(before, after, last),
        metric_curves(stored, again, last),
    )
    sameness, reasons = judge(scores, metrics, same_draws=same_draws)
    stops = [_stop(one, last_record(before, last)) for one in (before, after)]
    if stops[0] != stops[1]:
        sameness = DIFFERENT
        reasons = ["diverged: stored {}, now {}".format(*map(_say, stops))]
    whole = last == total
    number = find_score(run.task, run.method, published) if whole else None
    step = scores.steps[-1] if scores else None
    rerun = _score(after, step)
    return CellComparison(
        run.task,
        run.method,
        run.seed,
        address.path,
        last,
        total,
        score_unit(after),
        sameness,
        reasons + list(_logged_by_one(stored, again)),
        list(made_otherwise),
        scores,
        metrics,
        _score(before, step),
        rerun,
        _cell_score(address.cell) if whole else None,
        number,
        _verdict(rerun, number),
        _cost(after),
        size_differences(run.model_dump(mode="json"), 1) if whole else [],
        after.directory,
    )


def judge(
    scores: Curve | None, metrics: Sequence[Curve], *, same_draws: bool = True
) -> tuple[str, list[str]]:
    """Return the level of sameness of two runs' curves, and what it rests on."""
    curves = [*([scores] if scores else []), *metrics]
    if all(curve.is_identical for curve in curves):
        return BIT_FOR_BIT, ["every digit that both recorded"]
    judged = curves if same_draws else [scores] if scores else []
    apart = [curve for curve in judged if not curve.is_within_tolerance]
    reasons = [_how_far(curve) for curve in apart]
    if apart:
        return DIFFERENT, reasons
    noise = "scores within the noise of their episodes, 95% of all evaluations together"
    rounding = (
        f"metrics within {FIRST_TOLERANCE:.1%} at first and {METRIC_TOLERANCE:.0%} "
        "later: the same draws, rounded otherwise, and training amplifies rounding"
    )
    if same_draws:
        return WITHIN_TOLERANCE, [rounding, *([noise] if scores else [])]
    return ALIKE, [noise, "metrics not judged: other noise or another draw of the data"]


def _how_far(curve: Curve) -> str:
    """Say where a curve is furthest beyond what is tolerated."""
    excess = curve.differences - np.array(curve.tolerances)
    worst = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
    return (
        f"{curve.name} at gradient step {curve.steps[worst]:,}: stored "
        f"{curve.stored[worst]:.6g}, now {curve.rerun[worst]:.6g}, tolerated "
        f"± {curve.tolerances[worst]:.2g}; the first digit differs at step "
        f"{curve.first_difference:,}"
    )


def _logged_by_one(stored: RecordedRun, again: RecordedRun) -> Iterator[str]:
    """Yield a sentence for each metric that only one of two runs logged."""
    for name in sorted(set(stored.metrics) ^ set(again.metrics)):
        which = "stored run" if name in stored.metrics else "re-run"
        yield f"{name}: logged by the {which} only"


def _stop(run: StoredRun, last: int) -> dict[str, Any] | None:
    """Return where a run diverged, if it did within its first `last` steps."""
    diverged = run.diverged
    return diverged if diverged and diverged.get("step", 0) <= last else None


def _say(diverged: dict[str, Any] | None) -> str:
    if diverged is None:
        return "not"
    return f"at gradient step {diverged.get('step')} in {diverged.get('term')}"


def _score(run: StoredRun, step: int | None) -> Score | None:
    """Return an evaluation's mean score with its error over episodes."""
    if step is None:
        return None
    scores = episode_scores(run, step)
    error = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
    return Score(float(scores.mean()), error, len(scores), "episodes")


def _verdict(rerun: Score | None, number: PublishedScore | None) -> Comparison | None:
    """Return the verdict on the re-run's score against a published number."""
    if rerun is None or number is None:
        return None
    mean = PublishedMean(number.score, number.standard_error, NUM_PUBLISHED_SEEDS)
    return compare(np.array([rerun.mean]), mean)


def _cell_score(path: Path) -> Score | None:
    """Return the stored cell's headline score over seeds, or None without one."""
    if not path.is_file():
        return None
    cell = read_json(path)
    scores = cell["scores"][cell["headline"]]
    if scores["mean"] is None:
        return None
    return Score(scores["mean"], scores["standard_error"], scores["num_seeds"], "seeds")


def _cost(run: StoredRun) -> dict[str, Any]:
    """Return what the re-run took."""
    names = ("wall_seconds", "gpu_seconds", "steps_per_second", "device")
    asked = run.config["training"]["num_gradient_steps"]
    steps = run.provenance.get("num_gradient_steps", asked)
    return {"gradient steps": steps} | {
        name.replace("_", " "): run.provenance.get(name) for name in names
    }
