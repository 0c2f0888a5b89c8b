"""Verdicts of longer runs that git keeps, to stand beside those of the runs made here.

A kept verdict counts where it decided a claim, by the rule that decides it today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dql import paths
from dql.claims.file import FAILS, HOLDS
from dql.claims.records import PUBLISHED, SETTINGS
from dql.claims.words import readable
from dql.config.project import Project
from dql.results.files import read_csv, read_json

Record = Mapping[str, Any]


class KeptVerdict(NamedTuple):
    """A verdict, and the folder of results/kept that has it."""

    folder: str
    verdict: str


def kept_verdicts(
    project: Project,
    records: Sequence[Record],
    kept: Path = paths.SOURCE / paths.KEPT,
) -> dict[tuple[str, str], list[KeptVerdict]]:
    """Return, by claim and ground, the kept verdicts that differ from those here.

    Results of the project's own scale are left out: they are what was made here.
    """
    here = {(r["name"], r["where"]): r for r in records}
    found: dict[tuple[str, str], list[KeptVerdict]] = {}
    for folder in sorted(path.parent for path in kept.glob("*/runs.csv")):
        if set(read_csv(folder / "runs.csv")["scale"]) == {project.config.scale}:
            continue
        for key, verdict, rule in _decided(folder):
            record = here.get(key)
            same_rule = record and readable(rule, project) == record["rule"]
            if same_rule and verdict != record["verdict"]:
                found.setdefault(key, []).append(KeptVerdict(folder.name, verdict))
    return found


def _decided(folder: Path) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Yield claim and ground, verdict and rule of what a kept folder's runs decided."""
    files = (folder / paths.ALL_CLAIMS.name, folder / "bandit" / "claims.json")
    seen = set()
    for file in filter(Path.is_file, files):
        for record in read_json(file)["claims"]:
            where = record.get("where") or record["layout"]
            key = (record["name"], where)
            from_runs = where != SETTINGS and not where.startswith(PUBLISHED)
            if from_runs and record["verdict"] in (HOLDS, FAILS) and key not in seen:
                seen.add(key)
                yield key, record["verdict"], record["rule"]
