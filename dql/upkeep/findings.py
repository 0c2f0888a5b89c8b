"""One line of a diagnosis: what was looked at, how it stands, what would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """The state of one thing; a warning or a problem comes with its remedy."""

    name: str
    status: Status
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.status != "ok" and not self.remedy:
            raise ValueError(f"{self.name}: {self.status} without a remedy")


def ok(name: str, found: str) -> Finding:
    """Return the finding that nothing is to be done."""
    return Finding(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Finding:
    """Return a finding that results do not depend on, or only their cost."""
    return Finding(name, "warning", found, remedy)


def problem(name: str, found: str, remedy: str) -> Finding:
    """Return a finding that stops the workflow or makes its results others."""
    return Finding(name, "problem", found, remedy)
