"""Write the judged claims as results/claims.json, .md and .html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.claims.file import CLAIMS, UNTESTED, VERDICTS
from dql.claims.ledger import PUBLISHED, RUNS, SETTINGS, judge_all
from dql.files import write_json
from dql.tables.files import Block, Table, write_table

Record = Mapping[str, Any]
COLUMNS = ("claim", "where", "verdict", "why", "rule", "to test it", "source")
NOTES = (
    "holds: the rule is satisfied by the numbers in the column why. In the published "
    "table: by arithmetic on the paper's printed numbers alone, nothing was run.",
    "does not hold: the rule fails, on data large enough to say so.",
    "not tested here: no runs, or too few or too short ones, or numbers that no source "
    "prints. D4RL claims need runs at the paper's scale; data made here (local) never "
    "decide them.",
    "To test it: a target for snakemake (with --config scale=..., then snakemake "
    "claims), its runs and gradient steps, whether or not some are made already.",
    "Settings on file: the paper's Table 3 and the released code; no run is needed.",
)


def write_claims(root: Path = Path(), path: Path = CLAIMS) -> list[dict[str, Any]]:
    """Judge every claim from the results below `root` and write all three files."""
    records = judge_all(root, path)
    output = root / paths.ALL_CLAIMS
    counts = count_verdicts(records)
    write_json(output, {"counts": counts, "claims": records})
    pages = [output.with_suffix(suffix) for suffix in (".md", ".html")]
    write_table(_page(records, counts), pages)
    return records


def count_verdicts(records: Sequence[Record]) -> dict[str, int]:
    """Return how many claims have each verdict."""
    return {name: sum(r["verdict"] == name for r in records) for name in VERDICTS}


def _page(records: Sequence[Record], counts: Mapping[str, int]) -> Table:
    """Return the claims as blocks: by what decides them, hearsay last."""
    total = ", ".join(f"{name}: {count}" for name, count in counts.items())
    own = [record for record in records if record["origin"] == "paper"]
    d4rl = [record for record in own if record["section"] == "d4rl"]
    groups = {
        "2-D bandit": [r for r in own if r["section"] == "bandit"],
        "D4RL, in the paper's printed tables": [r for r in d4rl if r["where"] != RUNS],
        "D4RL, in runs made here": [r for r in d4rl if r["where"] == RUNS],
        "Settings": [r for r in own if r["where"] == SETTINGS],
        "Said about the paper elsewhere": [r for r in records if r not in own],
    }
    blocks = [_block(title, group) for title, group in groups.items() if group]
    title = f"The paper's claims, tested here ({total})"
    return Table(title, pd.DataFrame(records), blocks, [*_sizes(records), *NOTES])


def _sizes(records: Sequence[Record]) -> list[str]:
    """Return the length of the bandit's runs, which may not be the paper's."""
    steps = {
        count
        for record in records
        if record["section"] == "bandit"
        for numbers in record["numbers"].values()
        for count in numbers.get("num_gradient_steps", ())
    }
    listed = " and ".join(f"{count:,}" for count in sorted(steps))
    return [f"The bandit's runs took {listed} gradient steps."] if steps else []


def _block(title: str, records: Sequence[Record]) -> Block:
    """Return claims as rows; verdicts that rest on numbers are bold."""
    rows = [
        [
            record["statement"],
            record["where"],
            _verdict(record),
            record["reason"],
            record["rule"],
            _test(record),
            record["source"],
        ]
        for record in records
    ]
    column = COLUMNS.index("verdict")
    bold = {(i, column) for i, r in enumerate(records) if r["verdict"] != UNTESTED}
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return Block(title, frame, frozenset(bold), prose=True)


def _verdict(record: Record) -> str:
    """Return the verdict, saying so where it rests on print alone."""
    printed = record["where"].startswith(PUBLISHED) and record["verdict"] != UNTESTED
    return (
        f"{record['verdict']} in the published table" if printed else record["verdict"]
    )


def _test(record: Record) -> str:
    """Return target and cost of testing a claim."""
    cost = record["cost"]
    if not cost["num_runs"]:
        return f"{record['target']}: no runs"
    return (
        f"{record['target']} at scale {cost['scale']}: {cost['num_runs']} runs, "
        f"{cost['num_gradient_steps']:,} gradient steps"
    )
