"""Judge every claim of `workflow/claims.yaml`, each with reason, target and cost.

The bandit's claims are judged by its summary, those about D4RL by the paper's printed
numbers and by cells made here, those about settings by the configuration.
`dql.claims.page` writes what is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field

from dql import paths
from dql.claims.bandit import Claim, judge_claim, load_claims, reasons
from dql.claims.cost import (
    NOTHING_TO_RUN,
    Test,
    bandit_cost,
    cells_target,
    runs_cost,
)
from dql.claims.file import CLAIMS, FAILS, HOLDS, UNTESTED, BaseClaim, load_section
from dql.claims.protocol_rules import PROTOCOL_RULES
from dql.claims.score_rules import SCORE_RULES
from dql.claims.scores import (
    Finding,
    Ground,
    NotTestedError,
    PublishedSource,
    RunSource,
)
from dql.claims.setting_rules import EveryTask
from dql.claims.words import readable
from dql.config.project import Project, load_project
from dql.config.schema import Strict, SuiteName
from dql.errors import UserError, nearest
from dql.results.bandit_summary import COLUMNS, read_summary
from dql.results.published import load_scores

PUBLISHED, RUNS, SETTINGS = "published table", "runs", "settings on file"
D4RL_SUITES = ("gym", "antmaze", "adroit", "kitchen")
TABLES = ("table1", "table2", "table4")


class TaskClaim(BaseClaim):
    """A claim about tasks: those of its suites, or listed ones."""

    suites: list[SuiteName] = []
    tasks: list[str] = []


class ScoreClaim(TaskClaim):
    """A claim about D4RL scores, judged in print, on runs, or on both."""

    table: Literal["table1", "table2", "table4"] | None = None
    selection: Literal["last", "offline", "online"] = "offline"
    where: list[Literal["published", "runs"]] = ["published", "runs"]


class ScoreClaims(Strict):
    """The claims about D4RL, and what a cell needs to say anything about them."""

    scale: Literal["paper"]
    min_seeds: int = Field(ge=3)
    claims: list[ScoreClaim]


class SettingClaims(Strict):
    """The claims about settings."""

    claims: list[TaskClaim]


class Judgement(NamedTuple):
    """A verdict with its reason in clauses (`; `) and the numbers behind it."""

    section: str
    verdict: str
    reason: str
    numbers: Mapping[str, Any] | Sequence[Any]
    headline: str | None = None
    """What a reader needs of the reason; None: its first clause."""


def judge_all(
    root: Path = Path(), path: Path = CLAIMS, published: Path = paths.PUBLISHED
) -> list[dict[str, Any]]:
    """Return every claim's verdict, by section, with reason, numbers, target, cost."""
    project = load_project(scale="paper")
    return [
        *_judge_bandit(root / paths.BANDIT_SUMMARY, path),
        *_judge_scores(project, root, path, published),
        *_judge_settings(project, path),
    ]


def _judge_bandit(summary: Path, path: Path) -> list[dict[str, Any]]:
    """Return the bandit's claims; without a summary none is tested."""
    section = load_claims(path)
    if summary.is_file():
        table = read_summary(summary)
    else:
        table = pd.DataFrame(columns=list(COLUMNS)).astype({"method": str})
    project = load_project(scale=section.scale)
    return [
        _record(
            project,
            claim,
            layout,
            _bandit_judgement(claim, judge_claim(claim, layout, table, section)),
            Test(str(paths.BANDIT_CLAIMS), bandit_cost(project, claim.rules, layout)),
        )
        for claim in section.claims
        for layout in claim.layouts
    ]


def _bandit_judgement(claim: Claim, judged: Mapping[str, Any]) -> Judgement:
    headline, reason = reasons(claim, judged)
    return Judgement("bandit", judged["verdict"], reason, judged["numbers"], headline)


def _judge_scores(
    project: Project, root: Path, path: Path, published: Path
) -> list[dict[str, Any]]:
    """Return the claims about D4RL, each judged everywhere it says."""
    quoted = {s.published_name for t in TABLES for s in load_scores(t, published)}
    section = load_section(
        "d4rl",
        ScoreClaims,
        ScoreClaim,
        [*SCORE_RULES, *PROTOCOL_RULES],
        quoted_methods=sorted(quoted),
        path=path,
    )
    records = []
    for claim in section.claims:
        tasks = _tasks(project, claim, path)
        if "published" in claim.where and claim.table is None:
            raise UserError(
                f"{path.name}: claim '{claim.name}': needs the key 'table', or "
                "where: [runs]"
            )
        table = PublishedSource(claim.table or "table1", published)
        own = [m for rule in claim.rules for m in rule.methods_needed()]
        own = [m for m in dict.fromkeys(own) if m.partition("@")[0] in project.methods]
        for where in claim.where:
            if where == "published":
                source, test = table, NOTHING_TO_RUN
                place = f"{PUBLISHED} {table.table.removeprefix('table')}"
            else:
                source = RunSource(
                    project.tasks, set(project.methods), section.min_seeds, table, root
                )
                cost = runs_cost(project, tasks, own)
                test, place = Test(cells_target(tasks, own), cost), RUNS
            ground = Ground(source, tasks, claim.selection)
            judgement = _decide(claim, ground, own)
            records.append(_record(project, claim, place, judgement, test))
    return records


def _decide(claim: ScoreClaim, ground: Ground, own: Sequence[str]) -> Judgement:
    """Return the verdict; the first rule that fails decides."""
    findings: list[Finding] = []
    try:
        if isinstance(ground.source, RunSource):
            ground.source.require([(t, m) for t in ground.tasks for m in own])
        for rule in claim.rules:
            findings.append(rule.judge(ground))
            if not findings[-1].satisfied:
                break
    except NotTestedError as error:
        return Judgement("d4rl", UNTESTED, str(error), [])
    return _verdict("d4rl", findings)


def _verdict(section: str, findings: Sequence[Finding]) -> Judgement:
    """Return what findings add up to; those that fail give the reason."""
    holds = all(finding.satisfied for finding in findings)
    decisive = [f.words for f in findings if holds or not f.satisfied]
    numbers = [dict(finding.numbers) for finding in findings]
    return Judgement(section, HOLDS if holds else FAILS, "; ".join(decisive), numbers)


def _judge_settings(project: Project, path: Path) -> list[dict[str, Any]]:
    """Return the claims about settings."""
    section = load_section("settings", SettingClaims, TaskClaim, [EveryTask], path=path)
    records = []
    for claim in section.claims:
        tasks = _tasks(project, claim, path)
        where = f"{path.name}: claim '{claim.name}'"
        findings = [rule.judge(project, tasks, where) for rule in claim.rules]
        judgement = _verdict("settings", findings)
        records.append(_record(project, claim, SETTINGS, judgement, NOTHING_TO_RUN))
    return records


def _tasks(project: Project, claim: TaskClaim, path: Path) -> list[str]:
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


def _record(
    project: Project, claim: BaseClaim, where: str, judgement: Judgement, test: Test
) -> dict[str, Any]:
    """Return one verdict as results/claims.json holds it."""
    reason = readable(judgement.reason, project)
    headline = readable(judgement.headline or "", project)
    return {
        "section": judgement.section,
        "name": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "origin": claim.origin,
        "where": where,
        "rule": readable("; ".join(rule.words() for rule in claim.rules), project),
        "verdict": judgement.verdict,
        "headline": headline or reason.partition("; ")[0],
        "reason": reason,
        "numbers": judgement.numbers,
        "target": test.target,
        "cost": test.cost.content(),
    }
