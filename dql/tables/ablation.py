"""Policy classes compared, as the paper's Table 2 does, on D4RL and on local data.

Table 2 crosses what models the behaviour (a CVAE or a diffusion model) with how the
policy is improved (not at all, as BCQ does, by the Q term).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dql import paths
from dql.results.published import load_scores
from dql.tables.cells import Cell, exclusion_notes, read_cells, score_text
from dql.tables.files import Block, Table, write_table
from dql.tables.grid import Entry, score_grid
from dql.tables.published_cells import (
    NOT_RUN,
    PublishedCell,
    dagger_notes,
    long_frame,
    published_entry,
    verdict_block,
    withheld_notes,
)

VARIANTS = {
    "BC-CVAE": "bc_cvae",
    "BC-Diffusion": "bc_diffusion",
    "BCQ-CVAE": "bcq",
    "BCQ-Diffusion": "bcq_diffusion",
    "CVAE-QL": "cvae_ql",
    "Diffusion-QL": "diffusion_ql",
}
"""Table 2's names, in its order, and ours."""

TASKS = (
    "halfcheetah-medium-expert-v2",
    "hopper-medium-expert-v2",
    "walker2d-medium-expert-v2",
)
LOCAL = "Local data, made here: not D4RL's"


def write_ablation_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    published: Path = paths.PUBLISHED,
    notes: Sequence[str] = (),
) -> Table:
    """Write Table 2 with our cells; variants that were not run are shown as such."""
    loaded = read_cells(cells)
    pairs = published_cells("table2", VARIANTS, loaded, published)
    withheld = load_scores("table2", published, withheld=True)
    hidden = {(score.task, score.published_name): score for score in withheld}
    numbers = {(pair.task, pair.label): pair.number for pair in pairs}
    columns = list(VARIANTS)
    blocks = [
        score_grid(
            "As published (Table 2)",
            TASKS,
            columns,
            lambda task, name: published_entry(
                numbers[task, name], hidden.get((task, name))
            ),
            complete_rows=True,
        ),
        our_block("Ours", TASKS, columns, pairs),
        verdict_block(pairs),
        *local_blocks(VARIANTS, loaded),
    ]
    table = Table(
        "Ablation: behaviour models and ways of policy improvement",
        long_frame([*pairs, *local_cells(VARIANTS, loaded)]),
        blocks,
        [
            "Normalised scores, mean ± standard error. Bold: the highest mean of a row "
            "that has all its numbers, withheld ones included.",
            "Diffusion-QL's published numbers are of its online selection and are "
            "compared with ours; the others' selection is not stated, and ours is the "
            "last evaluation.",
            *dagger_notes(numbers.values()),
            *withheld_notes(withheld),
            *exclusion_notes(loaded),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def published_cells(
    table: str, variants: dict[str, str], cells: Sequence[Cell], published: Path
) -> list[PublishedCell]:
    """Return our cell and a table's number for every task and variant."""
    scores = {(s.task, s.published_name): s for s in load_scores(table, published)}
    ours = {(cell["task"], cell["method"]): cell for cell in cells}
    return [
        PublishedCell(
            task, method, name, scores.get((task, name)), ours.get((task, method))
        )
        for task in TASKS
        for name, method in variants.items()
    ]


def our_block(
    title: str,
    tasks: Sequence[str],
    columns: Sequence[str],
    pairs: Sequence[PublishedCell],
) -> Block:
    """Return our scores of the variants, those that were not run named as such."""
    by_key = {(pair.task, pair.label): pair for pair in pairs}

    def read(task: str, name: str) -> Entry:
        pair = by_key[task, name]
        return Entry(pair.our_text, pair.mean)

    return score_grid(title, tasks, columns, read, complete_rows=True)


def local_cells(variants: dict[str, str], cells: Sequence[Cell]) -> list[PublishedCell]:
    """Return the variants on every local task that any of them ran on."""
    local = {(c["task"], c["method"]): c for c in cells if c["suite"] == "local"}
    return [
        PublishedCell(task, method, name, None, local.get((task, method)))
        for task in dict.fromkeys(task for task, _ in local)
        for name, method in variants.items()
    ]


def local_blocks(variants: dict[str, str], cells: Sequence[Cell]) -> list[Block]:
    """Return the block of the local tasks, if anything ran on one."""
    local = {(c["task"], c["method"]): c for c in cells if c["suite"] == "local"}
    if not local:
        return []

    def read(task: str, name: str) -> Entry:
        cell = local.get((task, variants[name]))
        mean = cell["scores"][cell["headline"]]["mean"] if cell else None
        return Entry(score_text(cell) if cell else NOT_RUN, mean)

    tasks = list(dict.fromkeys(task for task, _ in local))
    return [score_grid(LOCAL, tasks, list(variants), read, complete_rows=False)]
