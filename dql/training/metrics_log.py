"""A run's metrics as they are logged, and the mark of one that left the numbers."""

from __future__ import annotations

import logging
import math

from dql.training.runs import Run

logger = logging.getLogger(__name__)


def log_metrics(run: Run, step: int, row: dict[str, float]) -> None:
    """Record mean metrics by name; a run with one that is not finite has diverged."""
    bad = [name for name, value in row.items() if not math.isfinite(value)]
    if not bad:
        run.records.metrics.append({"gradient_step": step, **row})
        return
    run.diverged = {"step": step, "term": bad[0]}
    logger.error(
        "%s seed %s on %s diverged: %s is not finite at step %s",
        run.config.method,
        run.config.seed,
        run.config.task,
        bad[0],
        step,
    )
