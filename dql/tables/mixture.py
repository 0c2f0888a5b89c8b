"""A mixture of Gaussians for a policy: TD3+BC-GM against TD3+BC and Diffusion-QL.

The paper's appendix compares them on three D4RL tasks and on the bandit's corners. Its
numbers for TD3+BC-GM have no source at hand: none is printed. Those of the others are
Table 1's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from dql import paths
from dql.results.bandit_summary import read_summary
from dql.tables.ablation import (
    TASKS,
    other_blocks,
    other_cells,
    our_block,
    published_cells,
)
from dql.tables.cells import exclusion_notes, read_cells
from dql.tables.files import Block, Table, write_table
from dql.tables.grid import score_grid
from dql.tables.published_cells import (
    dagger_notes,
    long_frame,
    published_entry,
    verdict_block,
)
from dql.tables.suite_titles import other_data, short_notes

VARIANTS = {"TD3+BC": "td3_bc", "TD3+BC-GM": "ql_mdn", "Diffusion-QL": "diffusion_ql"}
LAYOUT = "corners"
MIXTURES = ("bc_mdn", "ql_mdn")
"""On the bandit with every variant that ran: the paper varies the components."""
PLAIN = ("bc_mdn", "bc_diffusion", "td3_bc", "ql_mdn", "diffusion_ql")
MEASURES = {
    "modes_covered": ("modes covered", 1),
    "share_on_modes": ("on any mode, %", 100),
    "share_best_mode": ("on the best mode, %", 100),
    "distance": ("distance to the data", 1),
    "mean_reward": ("reward", 1),
}


def write_mixture_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    label: Callable[[str], str],
    bandit_summary: Path | None = None,
    published: Path = paths.PUBLISHED,
    *,
    min_steps: int = 0,
    notes: Sequence[str] = (),
) -> Table:
    """Write the table; `label` names a method, `bandit_summary` is the bandit's csv."""
    loaded = read_cells(cells)
    pairs = published_cells("table1", VARIANTS, loaded, published)
    numbers = {(pair.task, pair.label): pair.number for pair in pairs}
    columns = list(VARIANTS)
    blocks = [
        score_grid(
            "As published (Table 1)",
            TASKS,
            columns,
            lambda task, name: published_entry(numbers[task, name]),
            complete_rows=True,
        ),
        our_block("Ours", TASKS, columns, pairs),
        verdict_block(pairs),
        *other_blocks(VARIANTS, loaded, min_steps),
        bandit_block(bandit_summary, label),
    ]
    table = Table(
        "Mixture policies: TD3+BC-GM against Diffusion-QL",
        long_frame([*pairs, *other_cells(VARIANTS, loaded)]),
        blocks,
        [
            "Normalised scores, mean ± standard error. Bold: the highest mean of a row "
            "that has all its numbers.",
            "The paper's numbers for TD3+BC-GM (its Table 5) have no source at hand: "
            "ours stand alone.",
            "Bandit: mean ± standard deviation over seeds of the last samples; the "
            "paper prints no numbers.",
            *dagger_notes(numbers.values()),
            *short_notes(other_data(loaded), min_steps),
            *exclusion_notes(loaded),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def bandit_block(summary: Path | None, label: Callable[[str], str]) -> Block:
    """Return the bandit's numbers by method; those that were not run are named."""
    columns = ["method", "seeds", *(heading for heading, _ in MEASURES.values())]
    table = pd.DataFrame(columns=["layout", "method"])
    if summary is not None and summary.is_file():
        table = read_summary(summary)
    table = table[table["layout"] == LAYOUT]
    found = list(dict.fromkeys(table["method"]))
    rows = []
    for base in PLAIN:
        variants = [m for m in found if base in MIXTURES and m.startswith(f"{base}@")]
        for method in [base, *variants]:
            runs = table[table["method"] == method]
            numbers = (
                [
                    _mean_and_spread(runs[name] * scale)
                    for name, (_, scale) in MEASURES.items()
                ]
                if len(runs)
                else ["not run", *["–"] * (len(MEASURES) - 1)]
            )
            rows.append([label(method), _seeds(runs), *numbers])
    title = f"Bandit, modes in the {LAYOUT}"
    return Block(title, pd.DataFrame(rows, columns=columns))


def _seeds(runs: pd.DataFrame) -> str:
    """Return how many seeds have numbers, and how many diverged."""
    if not len(runs):
        return "0"
    finished = runs["distance"].notna().sum()
    diverged = len(runs) - finished
    return f"{finished}" + (f" ({diverged} diverged)" if diverged else "")


def _mean_and_spread(values: pd.Series) -> str:
    """Return mean ± standard deviation over seeds that did not diverge."""
    values = values.dropna().astype(float)
    if not len(values):
        return "–"
    digits = 1 if values.abs().max() >= 10 else 2
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"
