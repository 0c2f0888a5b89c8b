"""Judge the paper's bandit claims by the summary; write them as JSON and Markdown.

The claims are data (`workflow/claims.yaml`); a verdict needs enough seeds and gradient
steps of every method that a claim compares, else it reads "not tested here".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from dql.claims.bandit_rules import RULES, Rises
from dql.claims.file import (
    CLAIMS,
    FAILS,
    HOLDS,
    UNTESTED,
    BaseClaim,
    load_section,
)
from dql.claims.words import count_verdicts, in_words, readable, value_range
from dql.config.fields import Strict
from dql.config.project import load_project
from dql.errors import UserError, nearest
from dql.files import write_bytes, write_json
from dql.results.bandit_summary import COLUMNS, read_summary
from dql.tables.files import markdown_row


class Claim(BaseClaim):
    """One statement about the bandit with the rules that decide it."""

    layouts: list[Literal["axes", "corners"]] = ["axes", "corners"]


class BanditClaims(Strict):
    """The claims about the bandit, and what a run needs to say anything about them."""

    scale: str = Field(description="the smallest scale that can test them")
    min_seeds: int = Field(ge=2)
    min_gradient_steps: int = Field(gt=0)
    claims: list[Claim]


def load_claims(path: Path = CLAIMS) -> BanditClaims:
    """Return the bandit claims; a file that breaks the schema is an error naming it."""
    section = load_section("bandit", BanditClaims, Claim, RULES, path=path)
    for claim in section.claims:
        columns = {name for rule in claim.rules for name in rule.columns_needed()}
        unknown = sorted(columns - set(COLUMNS))
        if unknown:
            raise UserError(
                f"{path}: claim '{claim.name}': the summary has no column "
                f"{', '.join(unknown)}{nearest(unknown[0], COLUMNS)}"
            )
    return section


def judge_claim(
    claim: Claim, layout: str, table: pd.DataFrame, section: BanditClaims
) -> dict[str, Any]:
    """Return one claim's verdict on one layout, with the numbers it rests on."""
    table = table[table["layout"] == layout].dropna(subset=["distance"])
    verdict, reason, rows = HOLDS, None, {}
    columns: list[str] = []
    for rule in claim.rules:
        methods = rule.methods_needed(table)
        needed = {name: table[table["method"] == name] for name in methods}
        rows |= needed
        columns += [name for name in rule.columns_needed() if name not in columns]
        shortage = _shortage(needed, section)
        if shortage:
            verdict, reason = UNTESTED, shortage
            break
        if not rule.judge(needed):
            verdict, reason = FAILS, f"not met: {rule.words()}"
            break
    return {
        "name": claim.name,
        "layout": layout,
        "statement": claim.statement,
        "source": claim.source,
        "rule": "; ".join(rule.words() for rule in claim.rules),
        "verdict": verdict,
        "reason": reason,
        "num_seeds": min(len(chosen) for chosen in rows.values()),
        "numbers": {name: _numbers(chosen, columns) for name, chosen in rows.items()},
    }


def _shortage(rows: Mapping[str, pd.DataFrame], section: BanditClaims) -> str | None:
    """Return what the runs lack for a verdict: seeds, or gradient steps."""
    few = [
        f"{len(r)} of {name}" for name, r in rows.items() if len(r) < section.min_seeds
    ]
    if few:
        return f"needs {section.min_seeds} seeds of each method, has {', '.join(few)}"
    steps = min(int(r["num_gradient_steps"].min()) for r in rows.values())
    if steps < section.min_gradient_steps:
        return f"needs {section.min_gradient_steps:,} gradient steps, has {steps:,}"
    return None


def _numbers(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Return a method's steps and the mean and extremes of the columns over seeds."""
    if rows.empty:
        return {}
    steps = sorted({int(value) for value in rows["num_gradient_steps"]})
    ranges = {
        name: {
            "mean": round(float(rows[name].mean()), 4),
            "min": round(float(rows[name].min()), 4),
            "max": round(float(rows[name].max()), 4),
        }
        for name in columns
    }
    return {"num_seeds": len(rows), "num_gradient_steps": steps, **ranges}


def write_claims(
    summary: Path, outputs: Sequence[Path], claims: Path = CLAIMS
) -> list[dict[str, Any]]:
    """Judge every claim on every layout; write claims.json and claims.md."""
    table, section = read_summary(summary), load_claims(claims)
    judged = [
        judge_claim(claim, layout, table, section)
        for claim in section.claims
        for layout in claim.layouts
    ]
    counts = count_verdicts(judged)
    for path in outputs:
        if path.suffix == ".json":
            content = {"summary": summary.name, "counts": counts, "claims": judged}
            write_json(path, content)
        elif path.suffix == ".md":
            write_bytes(path, _markdown(judged, counts, section).encode())
        else:
            raise UserError(f"{path}: claims are written as .json or .md")
    return judged


def _markdown(
    judged: Sequence[dict[str, Any]], counts: dict[str, int], section: BanditClaims
) -> str:
    """Return the claims as a readable table with the numbers below each other."""
    lines = [
        "# The paper's bandit claims, tested here",
        "",
        f"{in_words(counts)}. Numbers: mean over seeds [lowest, highest], one number "
        f"where all seeds agree. A verdict needs {section.min_seeds} seeds of every "
        f"method compared and at least {section.min_gradient_steps:,} gradient steps.",
        "",
        markdown_row(["claim", "layout", "verdict", "numbers", "rule", "source"]),
        markdown_row([":--"] * 6),
    ]
    project = load_project(scale=section.scale)
    for claim in judged:
        numbers = "<br>".join(number_phrases(claim))
        if claim["verdict"] == UNTESTED:
            numbers = claim["reason"]
        cells = [
            claim["statement"],
            claim["layout"],
            f"**{claim['verdict']}**",
            readable(numbers, project),
            readable(claim["rule"], project),
            claim["source"],
        ]
        lines.append(markdown_row(cells))
    return "\n".join(lines) + "\n"


def number_phrases(claim: dict[str, Any]) -> list[str]:
    """Return one line of numbers per method of a claim."""
    lines = []
    for method, numbers in claim["numbers"].items():
        values = [
            f"{name} {value_range(value)}"
            for name, value in numbers.items()
            if isinstance(value, dict)
        ]
        lines.append(f"{method}: {', '.join(values) or 'not run'}")
    return lines


def reasons(claim: Claim, judged: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a reader needs of a verdict's numbers, and all of it, in clauses.

    Numbers of two methods stand; of more, the first, or both ends where they rise.
    """
    phrases = number_phrases(judged)
    if judged["verdict"] == UNTESTED:
        phrases = [judged["reason"]]
    headline = phrases if len(phrases) <= 2 else phrases[:1]
    if len(phrases) > 2 and isinstance(claim.rules[0], Rises):
        headline = [phrases[0], phrases[-1]]
    if judged["verdict"] == FAILS and len(claim.rules) > 1:
        phrases = [*phrases, judged["reason"]]
    return "; ".join(headline), "; ".join(phrases)
