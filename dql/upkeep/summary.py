"""What was made, where it is, and the main numbers, for the end of `make`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from dql import paths
from dql.claims.file import UNTESTED, VERDICTS
from dql.figures.registry import CLONING_METHODS, IMPROVEMENT_METHODS
from dql.results.bandit_summary import mean_by_method, read_summary
from dql.results.cell_facts import size_differences
from dql.results.files import read_json
from dql.tables.cells import read_cells, score_text

PRODUCTS = (
    ("figures", paths.FIGURES, "*/*.pdf"),
    ("tables", paths.TABLES, "*.md"),
    ("bandit numbers", paths.BANDIT, "*.csv"),
    ("bandit claims", paths.BANDIT, "*.md"),
    ("all claims", paths.RESULTS, "claims.md"),
    ("cells", paths.CELLS, "*/*.json"),
    ("runs", paths.RUNS, "*/*/seed*"),
    ("datasets", paths.DATASETS, "*.json"),
)

MAX_LISTED = 12
"""Files that are named one by one; more are only counted."""


def print_summary(console: Console | None = None, root: Path = Path()) -> None:
    """Print products, bandit numbers, the local table, claims and differing sizes."""
    console = console or Console()
    found = {
        name: sorted((root / folder).glob(pattern))
        for name, folder, pattern in PRODUCTS
    }
    if not any(found.values()):
        console.print("Nothing made yet; run: make")
        return
    _print_products(console, root, found)
    if (root / paths.BANDIT_SUMMARY).is_file():
        _print_bandit(console, read_summary(root / paths.BANDIT_SUMMARY))
    _print_local(console, sorted((root / paths.CELLS).glob("local-*/*.json")))
    if (root / paths.BANDIT_CLAIMS).is_file():
        _print_claims(console, root / paths.BANDIT_CLAIMS)
    if (root / paths.ALL_CLAIMS).is_file():
        counts = _counts(read_json(root / paths.ALL_CLAIMS))
        where = paths.ALL_CLAIMS.with_suffix(".md")
        console.print(f"All of the paper's claims: {counts} ({where})\n")
    _print_sizes(console, root / paths.RUNS)


def _print_products(
    console: Console, root: Path, found: Mapping[str, Sequence[Path]]
) -> None:
    """Print what exists, how many of each kind, and where."""
    table = Table(title="Made", title_justify="left", box=None, pad_edge=False)
    for heading in ("what", "files", "where"):
        table.add_column(heading, overflow="fold")
    for name, folder, _ in PRODUCTS:
        names = [str(path.relative_to(root / folder)) for path in found[name]]
        listed = f": {', '.join(names)}" if 0 < len(names) <= MAX_LISTED else ""
        table.add_row(name, str(len(names)), f"{folder}/{listed}")
    console.print(table, "")


def _print_bandit(console: Console, summary: pd.DataFrame) -> None:
    """Print the bandit's numbers by method, means over seeds."""
    means = mean_by_method(summary, [*CLONING_METHODS, *IMPROVEMENT_METHODS])
    table = Table(title="Bandit, means over seeds", title_justify="left")
    for heading in ("layout", "method", "seeds", "modes", "on modes %",
                    "best mode %", "distance", "reward"):  # fmt: skip
        is_name = heading in ("layout", "method")
        table.add_column(
            heading, justify="left" if is_name else "right", no_wrap=is_name
        )
    for layout in sorted({key[0] for key in means.index}):
        for method in (*CLONING_METHODS, *IMPROVEMENT_METHODS):
            if (layout, method) not in means.index:
                continue
            row = means.loc[(layout, method)]
            table.add_row(
                layout,
                method,
                f"{row['num_seeds']:.0f}",
                f"{row['modes_covered']:.1f}",
                f"{100 * row['share_on_modes']:.1f}",
                f"{100 * row['share_best_mode']:.1f}",
                f"{row['distance']:.3f}",
                f"{row['mean_reward']:.2f}",
            )
        table.add_section()
    console.print(table)
    steps = sorted({int(value) for value in summary["num_gradient_steps"]})
    console.print(f"gradient steps: {', '.join(f'{n:,}' for n in steps)}\n")


def _print_local(console: Console, cells: Sequence[Path]) -> None:
    """Print the local suite's scores beside the behaviour data's own."""
    if not cells:
        return
    title = "Local data, normalised score, mean ± standard error (not D4RL)"
    table = Table(title=title, title_justify="left")
    table.add_column("task", overflow="fold")
    for heading in ("method", "score", "behaviour data", "steps"):
        table.add_column(heading, no_wrap=heading != "behaviour data")
    for cell in read_cells(cells):
        behavior = cell["dataset"].get("behavior_score")
        table.add_row(
            cell["task"],
            cell["label"],
            score_text(cell),
            "-" if behavior is None else f"{behavior:.1f}",
            f"{cell['sizes']['num_gradient_steps']:,}",
        )
    console.print(table, "")


def _print_claims(console: Console, path: Path) -> None:
    """Print how many claims hold and name those that do not or were not tested."""
    content = json.loads(path.read_text(encoding="utf-8"))
    where = path.with_suffix(".md")
    console.print(f"The paper's bandit claims: {_counts(content)} ({where})")
    for verdict in VERDICTS[1:]:
        for claim in content["claims"]:
            if claim["verdict"] == verdict:
                why = f" ({claim['reason']})" if verdict == UNTESTED else ""
                console.print(
                    f"  {verdict}: {claim['statement']} [{claim['layout']}]{why}",
                    markup=False,
                    highlight=False,
                )
    console.print()


def _counts(content: Mapping[str, Any]) -> str:
    """Return how many claims have each verdict."""
    return ", ".join(f"{content['counts'][name]} {name}" for name in VERDICTS)


def _print_sizes(console: Console, runs: Path) -> None:
    """Print, per suite, the sizes that differ from the paper's."""
    seeds: dict[tuple[str, str], int] = {}
    configs = {}
    for path in sorted(runs.glob(f"*/*/seed*/{paths.CONFIG_FILE}")):
        config = read_json(path)
        key = (config["task"], config["method"])
        seeds[key] = seeds.get(key, 0) + 1
        configs[key] = config
    phrases: dict[str, None] = {}
    for key, config in configs.items():
        for phrase in size_differences(config, seeds[key]):
            phrases[f"{config['suite']}, {phrase}"] = None
    if phrases:
        console.print("Sizes that differ from the paper's:")
    for phrase in phrases:
        console.print(f"  {phrase}", highlight=False)
