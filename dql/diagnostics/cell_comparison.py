"""Compare a re-run with the stored run, its cell and the paper.

Three levels of sameness with the stored run: bit for bit (same machine, versions and
company), within the noise of the evaluation's own episodes, different.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dql import paths
from dql.config.schema import RunConfig
from dql.errors import UserError
from dql.results.cell_facts import size_differences
from dql.results.cell_scores import normalize, with_reference_returns
from dql.results.files import UnusableRunError, read_json
from dql.results.published import NUM_PUBLISHED_SEEDS, PublishedScore, find_score
from dql.results.runs import (
    EVALUATION_COLUMNS,
    StoredRun,
    config_differences,
    evaluation_problems,
    read_run,
)
from dql.results.statistics import Comparison, PublishedMean, compare

BIT_FOR_BIT = "same bit for bit"
WITHIN_NOISE = "same within the noise of the episodes"
DIFFERENT = "different"
INCOMPARABLE = "not comparable"
NO_STORED = "nothing stored to compare with"
NUM_ERRORS = 2.0
"""Standard errors of the difference of two means that count as noise."""


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
    """Stored, re-run and published values of one run, with what they say."""

    task: str
    method: str
    seed: int
    score_unit: str
    stored: Score | None
    rerun: Score
    cell: Score | None
    published: PublishedScore | None
    sameness: str
    reasons: list[str]
    verdict: Comparison | None
    cost: dict[str, Any]
    sizes: list[str]
    rerun_directory: Path


def compare_cell(
    run: RunConfig,
    stored: Path,
    rerun: Path,
    cell: Path,
    published: Path = paths.PUBLISHED,
) -> CellComparison:
    """Return how a re-run compares with the stored run, its cell and the paper."""
    config = run.model_dump(mode="json")
    again = read_run(rerun)
    if again.diverged:
        raise UserError(
            f"{rerun}: the re-run diverged at gradient step "
            f"{again.diverged.get('step')} in {again.diverged.get('term')}"
        )
    before, problem = _read_stored(stored)
    sameness, reasons = (
        (NO_STORED, [problem]) if before is None else _judge(before, again)
    )
    rerun_score = _last_score(again)
    number = find_score(run.task, run.method, published)
    verdict = None
    if number:
        mean = PublishedMean(number.score, number.standard_error, NUM_PUBLISHED_SEEDS)
        verdict = compare(np.array([rerun_score.mean]), mean)
    return CellComparison(
        run.task,
        run.method,
        run.seed,
        score_unit(again),
        _last_score(before) if before else None,
        rerun_score,
        _cell_score(cell),
        number,
        sameness,
        [reason for reason in reasons if reason],
        verdict,
        _cost(again),
        size_differences(config, 1),
        rerun,
    )


def _read_stored(directory: Path) -> tuple[StoredRun | None, str]:
    """Return the stored run, or why there is none to compare with."""
    try:
        run = read_run(directory)
    except UnusableRunError as error:
        return None, str(error)
    if run.diverged:
        return None, f"{directory}: the stored run diverged"
    problems = evaluation_problems(run)
    return (None, f"{directory}: {'; '.join(problems)}") if problems else (run, "")


def _judge(before: StoredRun, again: StoredRun) -> tuple[str, list[str]]:
    """Return the level of sameness of two runs and what could explain a difference."""
    differences = config_differences(before.config, again.config)
    if before.dataset_digest != again.dataset_digest:
        differences.append(
            f"data digest is {again.dataset_digest}, stored {before.dataset_digest}"
        )
    if differences:
        return INCOMPARABLE, differences
    columns = list(EVALUATION_COLUMNS)
    first, second = before.evaluations[columns], again.evaluations[columns]
    if first.equals(second):
        return BIT_FOR_BIT, []
    ours, theirs = _last_score(again), _last_score(before)
    errors = [score.standard_error or 0.0 for score in (ours, theirs)]
    noise = NUM_ERRORS * float(np.hypot(*errors))
    same = abs(ours.mean - theirs.mean) <= noise
    reasons = [f"two standard errors of the difference are {noise:.2f}"]
    reasons += _provenance_differences(before.provenance, again.provenance)
    return (WITHIN_NOISE if same else DIFFERENT), reasons


def _provenance_differences(
    before: Mapping[str, Any], again: Mapping[str, Any]
) -> list[str]:
    """Return what was not the same about code, device and package versions."""
    reasons = [
        f"{name.replace('_', ' ')}: stored {before.get(name)}, now {again.get(name)}"
        for name in ("code_fingerprint", "device", "physics")
        if before.get(name) != again.get(name)
    ]
    old, new = before.get("versions") or {}, again.get("versions") or {}
    reasons += [
        f"{name}: stored {old.get(name)}, now {new.get(name)}"
        for name in sorted(set(old) | set(new))
        if old.get(name) != new.get(name)
    ]
    return reasons


def _last_score(run: StoredRun) -> Score:
    """Return the last evaluation's mean score with its error over episodes."""
    table = run.evaluations
    last = table[table["gradient_step"] == run.evaluation_steps[-1]]
    returns = last["episode_return"].to_numpy(dtype=float)
    normalized = normalize(returns, _environment(run))
    scores = returns if normalized is None else normalized
    error = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
    return Score(float(scores.mean()), error, len(scores), "episodes")


def _cell_score(path: Path) -> Score | None:
    """Return the stored cell's headline score over seeds, or None without one."""
    if not path.is_file():
        return None
    cell = read_json(path)
    scores = cell["scores"][cell["headline"]]
    if scores["mean"] is None:
        return None
    return Score(scores["mean"], scores["standard_error"], scores["num_seeds"], "seeds")


def _environment(run: StoredRun) -> Mapping[str, Any]:
    """Return the run's task with the reference returns it was trained with."""
    dataset = run.provenance.get("dataset") or {}
    return with_reference_returns(run.config["environment"], dataset)


def score_unit(run: StoredRun) -> str:
    """Return what scores are called: returns, where no reference returns are known."""
    known = _environment(run).get("reference_min_score") is not None
    return "normalized score" if known else "mean return"


def _cost(run: StoredRun) -> dict[str, Any]:
    """Return what the re-run took."""
    names = ("wall_seconds", "gpu_seconds", "steps_per_second", "device")
    asked = run.config["training"]["num_gradient_steps"]
    steps = run.provenance.get("num_gradient_steps", asked)
    return {"gradient steps": steps} | {
        name.replace("_", " "): run.provenance.get(name) for name in names
    }
