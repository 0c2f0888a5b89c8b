"""Write the judged claims as results/claims.json and .md; group them for readers.

A row is a claim, a column a ground on which it is judged. `dql.publication` shows the
same groups on the results page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dql import paths
from dql.claims.file import CLAIMS, FAILS, HOLDS
from dql.claims.ledger import judge_all
from dql.claims.records import PUBLISHED, REMADE, RUNS, SETTINGS
from dql.claims.words import count_verdicts, in_words
from dql.files import write_bytes, write_json
from dql.tables.files import markdown_row

Record = Mapping[str, Any]

TITLE = "The paper's claims, tested here"
GROUNDS = {
    "axes": "modes on the axes",
    "corners": "modes in the corners",
    RUNS: "in D4RL runs",
    REMADE: "on remade data",
    SETTINGS: "in the settings",
}
"""Where a claim is judged, as a column's heading."""
IN_PRINT = "in print"
NOTES = (
    "In print: by arithmetic on the numbers of the paper's tables; nothing was run. In "
    "the settings: by the paper's Table 3 and the released code.",
    "Does not hold: the rule fails on data large enough to say so. Not tested here: "
    "nothing was run, or too little, or no source prints the number. Claims about D4RL "
    "need its data and the paper's scale; data made here never decide them.",
    "On remade data: D4RL's sets made again with published policies, not D4RL's files, "
    "so a ground of its own, never counted as D4RL runs; methods are compared with "
    "methods run here, not with the paper's numbers. Too few seeds: all cells are "
    "there, but some have fewer seeds than a verdict needs.",
)


@dataclass(frozen=True)
class Claim:
    """One claim with its verdict on every ground."""

    records: Mapping[str, Record]

    @cached_property
    def _first(self) -> Record:
        return next(iter(self.records.values()))

    @property
    def statement(self) -> str:
        """Return what is claimed."""
        return self._first["statement"]

    @property
    def source(self) -> str:
        """Return where it is claimed."""
        return self._first["source"]

    @property
    def rule(self) -> str:
        """Return what decides; what differs on remade data is said."""
        rule = self._first["rule"]
        remade = next((r for r in self.records.values() if r["where"] == REMADE), None)
        if remade is None or remade["rule"] == rule:
            return rule
        return f"{rule}; on remade data: {remade['rule']}"

    @property
    def tests(self) -> list[dict[str, str]]:
        """Return the commands that test the claim, each once, with their costs."""
        found = [_test(record) for record in self.records.values()]
        runs = {test["command"]: test for test in found if test}
        return list(runs.values())


@dataclass(frozen=True)
class Group:
    """Claims that share a heading and the grounds they are judged on."""

    title: str
    claims: Sequence[Claim]

    @property
    def grounds(self) -> list[str]:
        """Return the grounds of the group's claims in the order they come."""
        return list(dict.fromkeys(g for claim in self.claims for g in claim.records))

    @property
    def counts(self) -> dict[str, int]:
        """Return how many of the group's verdicts are which."""
        return count_verdicts(r for c in self.claims for r in c.records.values())


def write_claims(root: Path = Path(), path: Path = CLAIMS) -> list[dict[str, Any]]:
    """Judge every claim from the results below `root` and write both files."""
    records = judge_all(root, path)
    output = root / paths.ALL_CLAIMS
    write_json(output, {"counts": count_verdicts(records), "claims": records})
    write_bytes(output.with_suffix(".md"), _markdown(records).encode())
    return records


def group_claims(records: Sequence[Record]) -> list[Group]:
    """Return the paper's claims by section, then what is said about it elsewhere."""
    own = [record for record in records if record["origin"] == "paper"]
    chosen = {
        "2-D bandit": [r for r in own if r["section"] == "bandit"],
        "D4RL": [r for r in own if r["section"] == "d4rl"],
        "Settings": [r for r in own if r["section"] == "settings"],
        "Said about the paper elsewhere": [r for r in records if r not in own],
    }
    groups = []
    for title, found in chosen.items():
        claims: dict[str, dict[str, Record]] = {}
        for record in found:
            claims.setdefault(record["name"], {})[_ground(record)] = record
        groups.append(Group(title, [Claim(by_ground) for by_ground in claims.values()]))
    return [group for group in groups if group.claims]


def _ground(record: Record) -> str:
    where = record["where"]
    return IN_PRINT if where.startswith(PUBLISHED) else GROUNDS.get(where, where)


def _test(record: Record) -> dict[str, str] | None:
    """Return command and cost of testing a claim, or None where nothing has to run."""
    cost = record["cost"]
    if not cost["num_runs"]:
        return None
    return {
        "command": f"snakemake {record['target']} --cores all "
        f"--config scale={cost['scale']}",
        "cost": f"{cost['num_runs']} runs, {cost['num_gradient_steps']:,} gradient "
        f"steps at scale {cost['scale']}",
    }


def reading_notes(records: Sequence[Record]) -> list[str]:
    """Return how to read the page, with the size of the bandit's runs."""
    bandit = [
        numbers
        for record in records
        if record["section"] == "bandit"
        for numbers in record["numbers"].values()
        if numbers
    ]
    steps = sorted({count for n in bandit for count in n["num_gradient_steps"]})
    seeds = sorted({n["num_seeds"] for n in bandit})
    if not bandit:
        return list(NOTES)
    return [
        f"Numbers of the bandit: mean over {' or '.join(map(str, seeds))} seeds "
        "[lowest, highest], one number where all seeds agree, after "
        f"{' or '.join(f'{count:,}' for count in steps)} gradient steps.",
        *NOTES,
    ]


def _markdown(records: Sequence[Record]) -> str:
    """Return a table a group, and below all how claims are decided and tested."""
    counts = in_words(count_verdicts(records))
    lines = [f"# {TITLE}", "", f"Of {len(records)} verdicts, {counts}.", ""]
    lines += [f"- {note}" for note in reading_notes(records)]
    groups = group_claims(records)
    for group in groups:
        lines += ["", f"## {group.title}", ""]
        lines.append(markdown_row(["claim", *group.grounds, "source"]))
        lines.append(markdown_row([":--"] * (2 + len(group.grounds))))
        for claim in group.claims:
            cells = [_cell(claim.records.get(ground)) for ground in group.grounds]
            lines.append(markdown_row([claim.statement, *cells, claim.source]))
    lines += ["", "## Rules and tests"]
    for claim in (claim for group in groups for claim in group.claims):
        lines += ["", f"**{claim.statement}** {claim.rule}."]
        lines += [f"Test: `{t['command']}` ({t['cost']})." for t in claim.tests]
    return "\n".join(lines) + "\n"


def _cell(record: Record | None) -> str:
    if record is None:
        return ""
    verdict = record["verdict"]
    shown = f"**{verdict}**" if verdict in (HOLDS, FAILS) else verdict
    return f"{shown}: {record['headline']}"
