"""What every section of the ledger shares: grounds, judgements, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dql.claims.cost import Test
from dql.claims.file import FAILS, HOLDS, BaseClaim
from dql.claims.scores import Finding
from dql.claims.words import readable
from dql.config.project import Project
from dql.config.schema import SuiteName
from dql.errors import UserError, nearest

PUBLISHED, RUNS, SETTINGS = "published table", "runs", "settings on file"
REMADE = "remade data"
"""The four grounds on which claims about D4RL and its settings are judged."""
D4RL_SUITES = ("gym", "antmaze", "adroit", "kitchen")


class TaskClaim(BaseClaim):
    """A claim about tasks: those of its suites, or listed ones."""

    suites: list[SuiteName] = []
    tasks: list[str] = []


class Judgement(NamedTuple):
    """A verdict with its reason in clauses (`; `) and the numbers behind it."""

    section: str
    verdict: str
    reason: str
    numbers: Mapping[str, Any] | Sequence[Any]
    headline: str | None = None
    """What a reader needs of the reason; None: its first clause."""


def verdict_of(section: str, findings: Sequence[Finding]) -> Judgement:
    """Return what findings add up to; those that fail give the reason."""
    holds = all(finding.satisfied for finding in findings)
    decisive = [f.words for f in findings if holds or not f.satisfied]
    numbers = [dict(finding.numbers) for finding in findings]
    return Judgement(section, HOLDS if holds else FAILS, "; ".join(decisive), numbers)


def claim_tasks(project: Project, claim: TaskClaim, path: Path) -> list[str]:
    """Return the tasks of a claim; one that is not D4RL's raises."""
    where = f"{path.name}: claim '{claim.name}'"
    if bool(claim.suites) == bool(claim.tasks):
        raise UserError(f"{where}: needs either 'suites' or 'tasks'")
    valid = [name for name, task in project.tasks.items() if task.suite in D4RL_SUITES]
    for suite in claim.suites:
        if suite not in D4RL_SUITES:
            raise UserError(f"{where}: suite '{suite}' is not of D4RL")
    for task in claim.tasks:
        if task not in valid:
            raise UserError(
                f"{where}: '{task}' is no task of D4RL{nearest(task, valid)}"
            )
    return claim.tasks or [t for t in valid if project.tasks[t].suite in claim.suites]


def record(
    project: Project,
    claim: BaseClaim,
    where: str,
    judgement: Judgement,
    test: Test,
    rules: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Return one verdict as results/claims.json holds it; `rules`: else its own."""
    reason = readable(judgement.reason, project)
    headline = readable(judgement.headline or "", project)
    decisive = rules or claim.rules
    return {
        "section": judgement.section,
        "name": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "origin": claim.origin,
        "leading": claim.leading,
        "where": where,
        "rule": readable("; ".join(rule.words() for rule in decisive), project),
        "verdict": judgement.verdict,
        "headline": headline or reason.partition("; ")[0],
        "reason": reason,
        "numbers": judgement.numbers,
        "target": test.target,
        "cost": test.cost.content(),
    }
