"""The tables about modes: kept in states of the data, and as ways to a goal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from formats import KEPT, label, markdown

from dql.results.ways import read_ways, summarize_ways

GUIDED = "diffusion_ql"


def evidence() -> str:
    """Show the modes that policies keep in states of remade data."""
    files = sorted((KEPT / "evidence" / "action_samples").glob("*/*/seed*.csv"))
    rows = [_modes_row(path) for path in files]
    header = [
        "task", "method", "seed", "states", "with one mode", "with two", "spread"
    ]  # fmt: skip
    return markdown(header, rows)


def _modes_row(path: Path) -> list[str | int]:
    samples = pd.read_csv(path)
    counts = samples["num_modes"].value_counts()
    spread = f"{samples['spread'].mean():.3f}"
    found = [int(counts.get(number, 0)) for number in (1, 2)]
    task, method = path.parts[-3:-1]
    seed = path.stem.removeprefix("seed")
    return [task, label(method), seed, len(samples), *found, spread]


def ways() -> str:
    """Show the ways that policies keep of two, and their scores, seed by seed."""
    files = sorted((KEPT / "twoways" / "ways").glob("*/*/seed*.csv"))
    runs = summarize_ways(read_ways(files)).sort_values(["q_coefficient", "seed"])
    rows = []
    order = sorted(runs["method"].unique(), key=lambda name: GUIDED not in name)
    for method in order:
        found = runs[runs["method"] == method]
        one = found[found["num_candidates"] == 1]
        many = found[found["num_candidates"] > 1]
        rows.append(
            [
                label(method),
                _listed(one["ways_per_start"], ".2f"),
                _listed(one["ways"], ".2f"),
                _listed(one["score"], ".0f"),
                _listed(many["ways_per_start"], ".2f") or "–",
                _listed(many["score"], ".0f") or "–",
            ]
        )
    header = [
        "3 seeds each", "ways from one start", "over all starts", "score",
        "as evaluated: from one start", "score, as evaluated",
    ]  # fmt: skip
    return markdown(header, rows)


def _listed(values: pd.Series, form: str) -> str:
    return ", ".join(format(value, form) for value in values)
