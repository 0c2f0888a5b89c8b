"""The paper's Table 1 as published, with our cells beside it and a verdict for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dql import paths
from dql.results.published import PublishedScore, find_score, load_scores
from dql.tables.cells import Cell, exclusion_notes, read_cells
from dql.tables.files import Block, Table, write_table
from dql.tables.grid import Entry, score_grid
from dql.tables.published_cells import (
    PublishedCell,
    dagger_notes,
    long_frame,
    published_entry,
    verdict_block,
    withheld_notes,
)

SUITES = {"gym": "Gym", "antmaze": "AntMaze", "adroit": "Adroit", "kitchen": "Kitchen"}
METHOD, LABEL = "diffusion_ql", "Diffusion-QL"
OURS = "Diffusion-QL, ours"
Scores = Mapping[tuple[str, str], PublishedScore]
Cells = Mapping[tuple[str, str], Cell]


def write_d4rl_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    published: Path = paths.PUBLISHED,
    notes: Sequence[str] = (),
) -> Table:
    """Write the D4RL table; cells that were not run are shown as such."""
    ours = {(cell["task"], cell["method"]): cell for cell in read_cells(cells)}
    scores = load_scores("table1", published)
    withheld = load_scores("table1", published, withheld=True)
    tasks: dict[str, list[str]] = {}
    for score in scores + withheld:
        suite = tasks.setdefault(score.suite, [])
        if score.task not in suite:
            suite.append(score.task)
    pairs = _pairs(
        [task for suite in tasks.values() for task in suite], ours, published
    )
    left = {(pair.task, pair.method): pair for pair in pairs}
    rows = [
        left.pop((s.task, s.method), PublishedCell(s.task, s.method, "", s, None))
        for s in scores
    ]
    rows += [pair for pair in left.values() if pair.cell]
    table = Table(
        "D4RL: published scores and ours",
        long_frame(rows),
        [
            *(
                _suite_block(title, tasks[suite], scores, withheld, pairs)
                for suite, title in SUITES.items()
                if suite in tasks
            ),
            verdict_block(pairs),
        ],
        [
            "Normalised scores: mean ± standard error where the paper prints one. "
            "Bold: the highest published mean of a row that has all its numbers.",
            *dagger_notes(scores),
            "Averages are computed here from the rows above, where all have a number.",
            *withheld_notes(withheld),
            *exclusion_notes(list(ours.values())),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _pairs(tasks: Sequence[str], ours: Cells, published: Path) -> list[PublishedCell]:
    """Return Diffusion-QL on every task of the paper, then our other cells."""
    keys = [(task, METHOD) for task in tasks]
    keys += [key for key in ours if key not in keys]
    return [
        PublishedCell(
            task,
            method,
            ours[task, method]["label"] if (task, method) in ours else LABEL,
            find_score(task, method, published),
            ours.get((task, method)),
        )
        for task, method in keys
    ]


def _suite_block(
    title: str,
    tasks: Sequence[str],
    scores: Sequence[PublishedScore],
    withheld: Sequence[PublishedScore],
    pairs: Sequence[PublishedCell],
) -> Block:
    """Return a suite's published scores by method, our Diffusion-QL last."""
    printed: Scores = {(s.task, s.published_name): s for s in scores}
    hidden: Scores = {(s.task, s.published_name): s for s in withheld}
    ours = {pair.task: pair for pair in pairs if pair.method == METHOD}
    names = list(dict.fromkeys(s.published_name for s in scores if s.task in tasks))

    def read(task: str, name: str) -> Entry:
        if name == OURS:
            return Entry(ours[task].our_text, ours[task].mean, competes=False)
        return published_entry(printed.get((task, name)), hidden.get((task, name)))

    return score_grid(title, tasks, [*names, OURS], read, complete_rows=True)
