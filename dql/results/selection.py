"""Which checkpoint counts: the paper's offline rule, as written and as released.

The behaviour-cloning loss L_d is averaged over each evaluation interval. Training stops
early where it first rises; of the checkpoints up to there the paper keeps the one with
the second or third lowest L_d (Section 5, Appendix D).
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from dql.config.schema import SelectionRule
from dql.errors import UserError, nearest

RULES = get_args(SelectionRule)
DEFAULT_RANK = 1
"""Rank of the kept loss, from 0: the second lowest, for tasks the paper lacks."""


def kept_rank(released: int | None, rule: SelectionRule) -> int:
    """Return the rank of the kept loss; the text's rule never keeps the lowest."""
    if released is None:
        return DEFAULT_RANK
    return released if rule == "as-released" else max(released, DEFAULT_RANK)


def mean_losses(
    loss_steps: np.ndarray, losses: np.ndarray, evaluation_steps: np.ndarray
) -> np.ndarray:
    """Return the mean loss of the log rows within each evaluation interval, or NaN."""
    edges = np.concatenate([[0], evaluation_steps])
    bins = np.searchsorted(edges, loss_steps, side="left") - 1
    within = (bins >= 0) & (bins < len(evaluation_steps))
    size = len(evaluation_steps)
    counts = np.bincount(bins[within], minlength=size)
    sums = np.bincount(bins[within], weights=losses[within], minlength=size)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def stop_index(losses: np.ndarray) -> int:
    """Return the evaluation after which training stops: the first rise, or the last."""
    rises = np.flatnonzero(np.diff(losses) > 0)
    return int(rises[0]) + 1 if len(rises) else len(losses) - 1


def select_offline(
    losses: np.ndarray, *, rank: int = DEFAULT_RANK, rule: SelectionRule = "text"
) -> int | None:
    """Return the index of the kept evaluation, or None when too few were made.

    `as-released` repeats the official main.py, which compares `argsort` with the rank
    and so finds the position of loss number `rank`, not the loss of that rank.
    """
    if rule not in RULES:
        raise UserError(f"unknown selection rule {rule!r}{nearest(rule, RULES)}")
    considered = losses[: stop_index(losses) + 1]
    order = np.argsort(considered, kind="stable")
    if rank >= len(considered):
        return None
    if rule == "as-released":
        return int(np.flatnonzero(order == rank)[0])
    return int(order[rank])
