"""Judge claims about modes by the ways that policies keep where two are equally good.

The data are local, a point maze made here: the verdicts are a ground of their own and
decide nothing about D4RL. The rules read `dql ways`' files, one candidate's rows: what
the policy proposes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from dql import paths
from dql.claims.cost import Test, runs_cost
from dql.claims.file import TOO_FEW, UNTESTED, BaseClaim, load_section
from dql.claims.records import Judgement, record, verdict_of
from dql.claims.scores import Finding
from dql.claims.words import value_range
from dql.config.fields import Name, Strict
from dql.config.project import load_project
from dql.results.files import read_json
from dql.results.ways import read_ways, summarize_ways

WHERE = "two equally good ways"
SECTION = "ways"
Runs = Mapping[str, pd.DataFrame]
"""A row per seed (`summarize_ways`), by method."""


class WaysAtMost(Strict):
    """In every seed the policy keeps at most so many ways, from one start."""

    ways_at_most: float = Field(ge=1)
    method: str

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        most = f"at most {self.ways_at_most:g} ways from one start"
        return f"{self.method} keeps {most}, in every seed"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.method]

    def judge(self, runs: Runs) -> Finding:
        """Return the finding."""
        kept = runs[self.method]["ways_per_start"]
        words = f"{self.method} keeps {value_range(_spread(kept))} ways from one start"
        numbers = {self.method: _spread(kept)}
        return Finding(bool((kept <= self.ways_at_most).all()), words, numbers)


class ScoresBelow(Strict):
    """Every seed of one method scores below every seed of another."""

    scores_below: str = Field(description="the method that scores lower")
    method: str

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        lower = f"every seed of {self.scores_below} scores below"
        return f"{lower} every seed of {self.method}"

    def methods_needed(self) -> list[str]:
        """Return the methods that the rule reads."""
        return [self.scores_below, self.method]

    def judge(self, runs: Runs) -> Finding:
        """Return the finding."""
        scores = {name: runs[name]["score"] for name in self.methods_needed()}
        words = ", ".join(
            f"{name} scores {value_range(_spread(values))}"
            for name, values in scores.items()
        )
        is_below = scores[self.scores_below].max() < scores[self.method].min()
        numbers = {name: _spread(values) for name, values in scores.items()}
        return Finding(bool(is_below), words, numbers)


RULES = (WaysAtMost, ScoresBelow)


class WayClaims(Strict):
    """The claims, and what a run needs to say anything about them."""

    scale: Name
    task: Name
    min_seeds: int = Field(ge=2)
    min_gradient_steps: int = Field(gt=0)
    claims: list[BaseClaim]


def judge_ways(root: Path, path: Path) -> list[dict[str, Any]]:
    """Return the claims' verdicts from what runs below `root` stored."""
    section = load_section(SECTION, WayClaims, BaseClaim, RULES, path=path)
    project = load_project(scale=section.scale)
    suite = project.task(section.task).suite
    target = str(paths.figure_file(f"{suite}_ways", "png"))
    records = []
    for claim in section.claims:
        needed = [name for rule in claim.rules for name in rule.methods_needed()]
        methods = list(dict.fromkeys(needed))
        test = Test(target, runs_cost(project, [section.task], methods))
        judgement = _judgement(claim, methods, section, root)
        records.append(record(project, claim, WHERE, judgement, test))
    return records


def _judgement(
    claim: BaseClaim, methods: Sequence[str], section: WayClaims, root: Path
) -> Judgement:
    runs = {name: _runs(name, section, root) for name in methods}
    for name, table in runs.items():
        if table.empty:
            size = f"{section.min_gradient_steps:,} gradient steps"
            reason = f"{name} has not been run for {size} or more"
            return Judgement(SECTION, UNTESTED, reason, {})
    for name, table in runs.items():
        if len(table) < section.min_seeds:
            reason = f"{name} has {len(table)} seeds, needs {section.min_seeds}"
            return Judgement(SECTION, TOO_FEW, reason, {})
    return verdict_of(SECTION, [rule.judge(runs) for rule in claim.rules])


def _runs(method: str, section: WayClaims, root: Path) -> pd.DataFrame:
    """Return a row per seed that trained long enough, of what the policy proposes."""
    files = []
    for path in sorted((root / paths.WAYS / section.task / method).glob("seed*.csv")):
        folder = root / paths.RUNS / section.task / method / path.stem
        config = folder / paths.CONFIG_FILE
        steps = (
            read_json(config)["training"]["num_gradient_steps"]
            if config.is_file()
            else 0
        )
        if steps >= section.min_gradient_steps:
            files.append(path)
    if not files:
        return pd.DataFrame()
    table = read_ways(files)
    return summarize_ways(table[table["num_candidates"] == 1])


def _spread(values: pd.Series) -> dict[str, float]:
    """Return mean, lowest and highest over seeds."""
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "max": float(values.max()),
    }
