"""What was made, where it is, and the main numbers: one screen, the end of `make`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dql import paths
from dql.claims.file import FAILS, UNTESTED
from dql.claims.words import in_words, readable
from dql.config.project import load_project
from dql.figures.bandit_content import CLONING_METHODS, IMPROVEMENT_METHODS
from dql.results.bandit_summary import mean_by_method, read_summary
from dql.results.cell_facts import size_differences
from dql.results.files import read_json
from dql.tables.cells import Cell, read_cells, score_text

PRODUCTS = (
    ("figure", paths.FIGURES, "*/*.pdf"),
    ("table", paths.TABLES, "*.md"),
    ("cell", paths.CELLS, "*/*.json"),
    ("run", paths.RUNS, "*/*/seed*"),
    ("dataset", paths.DATASETS, "*.json"),
)

MAX_ROWS, MAX_CLAIMS = 5, 4
"""Rows of cells, and of claims, that are printed; their files hold all of them."""

MAX_REASONS = 2
"""Reasons for which claims were not tested that are printed, the commonest first."""

CLAIM_INDENT = "  "

MEASURES = ("modes_covered", "share_on_modes", "share_best_mode", "mean_reward")
HEADINGS = ("modes", "any %", "best %", "reward")


def print_summary(console: Console | None = None, root: Path = Path()) -> None:
    """Print products, bandit numbers, the local table, claims and differing sizes."""
    console = console or Console()
    found = {
        (name, folder): len(list((root / folder).glob(pattern)))
        for name, folder, pattern in PRODUCTS
    }
    if not any(found.values()):
        console.print("Nothing made yet; run: make")
        return
    made = [
        f"{count} {name}{'' if count == 1 else 's'} ({folder}/)"
        for (name, folder), count in found.items()
        if count
    ]
    console.print("Made:", ", ".join(made), highlight=False)
    if (root / paths.BANDIT_SUMMARY).is_file():
        _print_bandit(console, read_summary(root / paths.BANDIT_SUMMARY))
    _print_local(console, sorted((root / paths.CELLS).glob("local-*/*.json")))
    _print_claims(console, root)
    _print_sizes(console, root / paths.RUNS)


def _print_bandit(console: Console, summary: pd.DataFrame) -> None:
    """Print the bandit's numbers, a row a method, the layouts side by side."""
    methods = (*CLONING_METHODS, *IMPROVEMENT_METHODS)
    means, project = mean_by_method(summary, methods), load_project()
    layouts = sorted({layout for layout, _ in means.index})
    title = (
        f"Bandit, means over {_counts(means['num_seeds'])} seeds after "
        f"{_counts(summary['num_gradient_steps'])} gradient steps (%: samples on modes)"
    )
    table = _table()
    table.add_column("method", no_wrap=True)
    for layout in layouts:
        for place, heading in enumerate(HEADINGS):
            above = layout if place == 0 else ""
            table.add_column(f"{above}\n{heading}", justify="right", no_wrap=True)
    for method in methods:
        rows = [
            means.loc[(layout, method)] if (layout, method) in means.index else None
            for layout in layouts
        ]
        if any(row is not None for row in rows):
            numbers = [cell for row in rows for cell in _bandit_cells(row)]
            table.add_row(project.label(method), *numbers)
    console.print("", title, table, sep="\n", highlight=False)


def _bandit_cells(row: pd.Series | None) -> list[str]:
    """Return a method's numbers on a layout, shares in percent."""
    if row is None:
        return ["-"] * len(MEASURES)
    modes, on_modes, on_best, reward = (row[name] for name in MEASURES)
    return [
        f"{modes:.1f}",
        f"{100 * on_modes:.1f}",
        f"{100 * on_best:.1f}",
        f"{reward:.2f}",
    ]


def _print_local(console: Console, files: Sequence[Path]) -> None:
    """Print the local suite's scores beside the behaviour data's own."""
    cells = read_cells(files)
    if not cells:
        return
    title = "Data made here (not D4RL), mean normalised score ± standard error"
    table = _table()
    for heading in ("task", "method", "score", "data", "steps"):
        is_number = heading in ("data", "steps")
        table.add_column(heading, justify="right" if is_number else "left")
    for cell in sorted(cells, key=_score, reverse=True)[:MAX_ROWS]:
        behavior = cell["dataset"].get("behavior_score")
        table.add_row(
            cell["task"].removeprefix("local-"),
            cell["label"],
            score_text(cell),
            "-" if behavior is None else f"{behavior:.1f}",
            f"{cell['sizes']['num_gradient_steps']:,}",
        )
    console.print("", title, table, sep="\n", highlight=False)
    if len(cells) > MAX_ROWS:
        more = len(cells) - MAX_ROWS
        console.print(f"{more} more in {paths.TABLES / 'local.md'}", highlight=False)


def _score(cell: Cell) -> float:
    mean = cell["scores"][cell["headline"]]["mean"]
    return float("-inf") if mean is None else mean


def _print_claims(console: Console, root: Path) -> None:
    """Print how many claims hold; of the bandit's, name those that do not.

    A claim has one line, cut where the screen ends: its file has it whole.
    """
    lines = []
    if (root / paths.BANDIT_CLAIMS).is_file():
        content = read_json(root / paths.BANDIT_CLAIMS)
        where = paths.BANDIT_CLAIMS.with_suffix(".md")
        lines = [f"Claims about the bandit: {in_words(content['counts'])} ({where})"]
        lines += _open_claims(content["claims"])
    if (root / paths.ALL_CLAIMS).is_file():
        counts = in_words(read_json(root / paths.ALL_CLAIMS)["counts"])
        where = paths.ALL_CLAIMS.with_suffix(".md")
        lines.append(f"All claims: {counts} ({where})")
    if lines:
        console.print("")
        for line in lines:
            is_cut = line.startswith(CLAIM_INDENT)
            console.print(Text(line), no_wrap=is_cut, overflow="ellipsis")


def _open_claims(claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line a claim that does not hold, and one a reason for no verdict."""
    failed: dict[str, list[str]] = {}
    untested: Counter[str] = Counter()
    for claim in claims:
        if claim["verdict"] == FAILS:
            failed.setdefault(claim["statement"], []).append(claim["layout"])
        elif claim["verdict"] == UNTESTED:
            untested[claim["reason"]] += 1
    lines = [
        f"{CLAIM_INDENT}{FAILS} [{', '.join(layouts)}]: {statement}"
        for statement, layouts in islice(failed.items(), MAX_CLAIMS)
    ]
    if len(failed) > MAX_CLAIMS:
        lines.append(f"{CLAIM_INDENT}and {len(failed) - MAX_CLAIMS} more")
    project = load_project()
    reasons = untested.most_common(MAX_REASONS)
    lines += [
        f"{CLAIM_INDENT}{count} {UNTESTED}: {readable(why, project)}"
        for why, count in reasons
    ]
    others = untested.total() - sum(count for _, count in reasons)
    if others:
        lines.append(f"{CLAIM_INDENT}{others} {UNTESTED} for other reasons")
    return lines


def _print_sizes(console: Console, runs: Path) -> None:
    """Print, a line a suite, the sizes that differ from the paper's."""
    seeds: dict[tuple[str, str], int] = {}
    configs = {}
    for path in sorted(runs.glob(f"*/*/seed*/{paths.CONFIG_FILE}")):
        config = read_json(path)
        key = (config["task"], config["method"])
        seeds[key] = seeds.get(key, 0) + 1
        configs[key] = config
    phrases: dict[str, dict[str, None]] = {}
    for key, config in configs.items():
        found = phrases.setdefault(config["suite"], {})
        found.update(dict.fromkeys(size_differences(config, seeds[key])))
    lines = [
        f"  {suite}: {'; '.join(found)}" for suite, found in phrases.items() if found
    ]
    if lines:
        heading = "Sizes that differ from the paper's:"
        console.print("", heading, *lines, sep="\n", highlight=False)


def _table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )


def _counts(values: Iterable[float]) -> str:
    """Return the numbers that occur, ascending: `2 or 3`, `4,000`."""
    return " or ".join(f"{int(value):,}" for value in sorted(set(values)))
