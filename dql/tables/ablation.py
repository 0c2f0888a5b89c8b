"""Policy classes compared, as the paper's Table 2 does: D4RL, data made here, remade.

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
from dql.tables.suite_titles import (
    is_too_short,
    other_data,
    short_notes,
    suite_title,
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


def write_ablation_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    published: Path = paths.PUBLISHED,
    *,
    min_steps: int = 0,
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
        *other_blocks(VARIANTS, loaded, min_steps),
    ]
    table = Table(
        "Ablation: behaviour models and ways of policy improvement",
        long_frame([*pairs, *other_cells(VARIANTS, loaded)]),
        blocks,
        [
            "Normalised scores, mean ± standard error. Bold: the highest mean of a row "
            "that has all its numbers, withheld ones included.",
            "Diffusion-QL's published numbers are of its online selection and are "
            "compared with ours; the others' selection is not stated, and ours is the "
            "last evaluation.",
            *dagger_notes(numbers.values()),
            *withheld_notes(withheld),
            *short_notes(other_data(loaded), min_steps),
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


def other_cells(variants: dict[str, str], cells: Sequence[Cell]) -> list[PublishedCell]:
    """Return the variants on every task of other data that any of them ran on."""
    other = {(c["task"], c["method"]): c for c in other_data(cells)}
    return [
        PublishedCell(task, method, name, None, other.get((task, method)))
        for task in dict.fromkeys(task for task, _ in other)
        for name, method in variants.items()
    ]


def other_blocks(
    variants: dict[str, str], cells: Sequence[Cell], min_steps: int
) -> list[Block]:
    """Return a block for each suite of other data that anything ran on."""
    suites = dict.fromkeys(cell["suite"] for cell in other_data(cells))
    return [
        _other_block(variants, [c for c in cells if c["suite"] == suite], min_steps)
        for suite in suites
    ]


def _other_block(
    variants: dict[str, str], cells: Sequence[Cell], min_steps: int
) -> Block:
    """Return the variants' scores on a suite's tasks; none is the best if short."""
    found = {(c["task"], c["method"]): c for c in cells}
    ranked = not is_too_short(cells, min_steps)

    def read(task: str, name: str) -> Entry:
        cell = found.get((task, variants[name]))
        mean = cell["scores"][cell["headline"]]["mean"] if cell else None
        return Entry(score_text(cell) if cell else NOT_RUN, mean, competes=ranked)

    tasks = list(dict.fromkeys(task for task, _ in found))
    title = suite_title(cells[0]["suite"], cells, min_steps)
    return score_grid(title, tasks, list(variants), read, complete_rows=True)
