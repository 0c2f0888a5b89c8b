"""Judge every claim of `workflow/claims.yaml`, each with reason, target and cost.

The bandit's claims are judged by its summary, those about D4RL by the paper's printed
numbers and by cells made here, those about settings by the configuration, those about
modes by the ways that policies keep in a maze with two.
`dql.claims.page` writes what is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.claims.bandit import Claim, judge_claim, load_claims, reasons
from dql.claims.cost import NOTHING_TO_RUN, Test, bandit_cost
from dql.claims.d4rl import judge_scores
from dql.claims.file import CLAIMS, load_section
from dql.claims.records import (
    SETTINGS,
    Judgement,
    TaskClaim,
    claim_tasks,
    record,
    verdict_of,
)
from dql.claims.setting_rules import EveryTask
from dql.claims.ways import judge_ways
from dql.config.fields import Strict
from dql.config.project import Project, load_project
from dql.results.bandit_summary import COLUMNS, read_summary


class SettingClaims(Strict):
    """The claims about settings."""

    claims: list[TaskClaim]


def judge_all(
    root: Path = Path(), path: Path = CLAIMS, published: Path = paths.PUBLISHED
) -> list[dict[str, Any]]:
    """Return every claim's verdict, by section, with reason, numbers, target, cost."""
    project = load_project(scale="paper")
    return [
        *_judge_bandit(root / paths.BANDIT_SUMMARY, path),
        *judge_scores(project, root, path, published),
        *_judge_settings(project, path),
        *judge_ways(root, path),
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
        record(
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


def _judge_settings(project: Project, path: Path) -> list[dict[str, Any]]:
    """Return the claims about settings."""
    section = load_section("settings", SettingClaims, TaskClaim, [EveryTask], path=path)
    records = []
    for claim in section.claims:
        tasks = claim_tasks(project, claim, path)
        where = f"{path.name}: claim '{claim.name}'"
        findings = [rule.judge(project, tasks, where) for rule in claim.rules]
        judgement = verdict_of("settings", findings)
        records.append(record(project, claim, SETTINGS, judgement, NOTHING_TO_RUN))
    return records
