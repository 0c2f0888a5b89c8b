"""Look over a machine and a checkout before time is spent: `dql doctor`.

A check is a function that returns findings. Whatever a check cannot import or run is a
finding too, so that the rest is still looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial, update_wrapper

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dql.upkeep.doctor_machine import MACHINE_CHECKS
from dql.upkeep.doctor_project import PROJECT_CHECKS
from dql.upkeep.doctor_scale import NAMED_SCALE_CHECKS, SCALE_CHECKS
from dql.upkeep.findings import Finding, problem
from dql.upkeep.places import PLACE_CHECKS

Check = Callable[[], Iterable[Finding]]

GENERAL_CHECKS = (*MACHINE_CHECKS, *PLACE_CHECKS, *PROJECT_CHECKS)
CHECKS: tuple[Check, ...] = (*GENERAL_CHECKS, *SCALE_CHECKS)
SYMBOLS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]"}
SYMBOLS["problem"] = "[bold red]problem[/]"


def checks_of(scale: str | None) -> tuple[Check, ...]:
    """Return the checks of a scale; one that is named has more, and takes longer."""
    if scale is None:
        return CHECKS
    named = (update_wrapper(partial(c, scale), c) for c in NAMED_SCALE_CHECKS)
    return (*GENERAL_CHECKS, *named)


def examine(checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Run every check; one that fails to import or raises becomes a problem."""
    findings: list[Finding] = []
    for check in checks:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            findings += check()
        except ImportError as error:
            missing = error.name or str(error)
            remedy = "install all that is needed: make setup"
            findings.append(problem(name, f"cannot import {missing}", remedy))
        except Exception as error:  # whatever breaks must not hide the other lines
            found = f"{type(error).__name__}: {error}"
            remedy = "the check itself failed; the message names the cause"
            findings.append(problem(name, found, remedy))
    return findings


def is_usable(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is in the way."""
    return all(finding.status != "problem" for finding in findings)


def as_json(findings: Sequence[Finding]) -> dict:
    """Return the findings as JSON values, with how many there are of each status."""
    return {
        "usable": is_usable(findings),
        "counts": dict(Counter(finding.status for finding in findings)),
        "findings": [asdict(finding) for finding in findings],
    }


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print a line per finding, remedies below what they mend, and a verdict."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = escape(finding.found)
        if finding.remedy:
            text += f"\n[dim]-> {escape(finding.remedy)}[/]"
        table.add_row(SYMBOLS[finding.status], finding.name, text)
    console.print(table)
    counts = Counter(finding.status for finding in findings)
    console.print(
        f"{counts['ok']} ok, {counts['warning']} warnings, "
        f"{counts['problem']} problems: "
        + (
            "this project can run here." if is_usable(findings) else "mend these first."
        ),
        highlight=False,
    )
