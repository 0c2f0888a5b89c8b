"""What the runs of one block share, and what each may have of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUMERIC_SETTINGS = (
    "q_coefficient",
    "discount",
    "max_gradient_norm",
    "expectile",
    "trust_region_coefficient",
    "likelihood_coefficient",
    "conservative_coefficient",
    "penalty_coefficient",
    "distillation_coefficient",
)
"""Settings in which the runs of one block may differ."""


def first_conflict(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Tell why runs of these settings cannot share a block; None: they can."""
    for key, value in other.items():
        if key not in NUMERIC_SETTINGS and value != first[key]:
            return f"runs of one block differ in {key!r}: {first[key]!r} and {value!r}"
        if key == "max_gradient_norm" and (value is None) != (first[key] is None):
            return "one block mixes clipped and unclipped runs"
    return None
