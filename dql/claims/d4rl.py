"""Claims about D4RL scores, judged in print, on D4RL runs and on remade data.

The three grounds have a verdict each. Remade data are not D4RL's files: their cells
never count as D4RL runs, and no number of the paper is compared with theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dql import paths
from dql.claims.cost import NOTHING_TO_RUN, Test, cells_target, runs_cost
from dql.claims.file import TOO_FEW, UNTESTED, load_section
from dql.claims.protocol_rules import PROTOCOL_RULES
from dql.claims.records import (
    PUBLISHED,
    REMADE,
    RUNS,
    Judgement,
    TaskClaim,
    claim_tasks,
    record,
    verdict_of,
)
from dql.claims.score_rules import SCORE_RULES
from dql.claims.scores import (
    Finding,
    Ground,
    Needs,
    NotTestedError,
    PublishedSource,
    RunSource,
    TooFewSeedsError,
)
from dql.config.fields import Count, Strict
from dql.config.project import Project, load_project
from dql.config.schema import SuiteName
from dql.errors import UserError
from dql.results.published import load_scores

TABLES = ("table1", "table2", "table4")


class OnRemadeData(Strict):
    """How a claim is judged on remade data; what is not said is as on D4RL runs.

    Tasks are D4RL's, and stand for the remade ones that they are the namesakes of; with
    suites, those of the claim's tasks that are in them.
    """

    suites: list[SuiteName] = []
    tasks: list[str] = []
    rules: list[Any] = []


class ScoreClaim(TaskClaim):
    """A claim about D4RL scores, judged in print, on D4RL runs and on remade data."""

    table: Literal["table1", "table2", "table4"] | None = None
    selection: Literal["last", "offline", "online"] = "offline"
    where: list[Literal["published", "runs"]] = ["published", "runs"]
    remade: OnRemadeData | None = None

    @property
    def all_rules(self) -> list[Any]:
        """Return the rules of every ground."""
        return [*self.rules, *(self.remade.rules if self.remade else [])]


class RemadeNeeds(Strict):
    """What a cell on remade data needs to say anything."""

    scale: str
    min_seeds: int = Field(ge=2)
    min_gradient_steps: Count


class ScoreClaims(Strict):
    """The claims about D4RL, and what a cell needs to say anything about them."""

    scale: Literal["paper"]
    min_seeds: int = Field(ge=3)
    remade: RemadeNeeds
    claims: list[ScoreClaim]


def judge_scores(
    project: Project, root: Path, path: Path, published: Path
) -> list[dict[str, Any]]:
    """Return the claims about D4RL, each judged everywhere it says."""
    section = load_claims(path, published)
    needs = Needs("d4rl", section.scale, section.min_seeds)
    own = section.remade
    remade_needs = Needs("remade", own.scale, own.min_seeds, own.min_gradient_steps)
    remade = load_project(scale=own.scale)
    records = []
    for claim in section.claims:
        tasks = claim_tasks(project, claim, path)
        table = PublishedSource(claim.table or "table1", published)
        if "published" in claim.where:
            place = f"{PUBLISHED} {table.table.removeprefix('table')}"
            judgement = _decide(claim.rules, Ground(table, tasks, claim.selection), [])
            records.append(record(project, claim, place, judgement, NOTHING_TO_RUN))
        if "runs" in claim.where:
            source = RunSource(project.tasks, set(project.methods), needs, table, root)
            ground = Ground(source, tasks, claim.selection)
            records.append(_judge_runs(project, claim, RUNS, claim.rules, ground))
        if claim.remade is not None:
            tasks = _twins(remade, tasks, claim, path)
            source = RunSource(
                remade.tasks, set(remade.methods), remade_needs, None, root
            )
            ground = Ground(source, tasks, claim.selection)
            rules = claim.remade.rules or claim.rules
            records.append(_judge_runs(remade, claim, REMADE, rules, ground))
    return records


def load_claims(path: Path, published: Path = paths.PUBLISHED) -> ScoreClaims:
    """Return the section; a mistake in it is an error that names claim and key."""
    quoted = {s.published_name for t in TABLES for s in load_scores(t, published)}
    section = load_section(
        "d4rl",
        ScoreClaims,
        ScoreClaim,
        [*SCORE_RULES, *PROTOCOL_RULES],
        quoted_methods=sorted(quoted),
        path=path,
    )
    for claim in section.claims:
        if "published" in claim.where and claim.table is None:
            raise UserError(
                f"{path.name}: claim '{claim.name}': needs the key 'table', or "
                "where: [runs]"
            )
    return section


def _twins(
    project: Project, tasks: Sequence[str], claim: ScoreClaim, path: Path
) -> list[str]:
    """Return the remade twins of a claim's tasks, or of those that `remade` names."""
    own = claim.remade
    tasks = own.tasks or [
        name
        for name in tasks
        if not own.suites or project.tasks[name].suite in own.suites
    ]
    found = [name for name, task in project.tasks.items() if task.namesake in tasks]
    found = [name for name in found if project.tasks[name].suite == "remade"]
    if not found:
        raise UserError(
            f"{path.name}: claim '{claim.name}': remade: no remade task is the twin of "
            f"{', '.join(tasks)}"
        )
    return found


def _judge_runs(
    project: Project,
    claim: ScoreClaim,
    place: str,
    rules: Sequence[Any],
    ground: Ground,
) -> dict[str, Any]:
    """Return the verdict on cells made here, with what it takes to test it."""
    named = dict.fromkeys(m for rule in rules for m in rule.methods_needed())
    own = [m for m in named if m.partition("@")[0] in project.methods]
    judgement = _decide(rules, ground, own)
    cost = runs_cost(project, ground.tasks, own)
    test = Test(cells_target(ground.tasks, own), cost)
    return record(project, claim, place, judgement, test, rules)


def _decide(rules: Sequence[Any], ground: Ground, own: Sequence[str]) -> Judgement:
    """Return the verdict; the first rule that fails decides."""
    findings: list[Finding] = []
    try:
        if isinstance(ground.source, RunSource):
            ground.source.require([(t, m) for t in ground.tasks for m in own])
        for rule in rules:
            findings.append(rule.judge(ground))
            if not findings[-1].satisfied:
                break
    except TooFewSeedsError as error:
        return Judgement("d4rl", TOO_FEW, str(error), [])
    except NotTestedError as error:
        return Judgement("d4rl", UNTESTED, str(error), [])
    return verdict_of("d4rl", findings)
