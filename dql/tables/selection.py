"""The paper's Table 4: Diffusion-QL under offline and under online model selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dql import paths
from dql.results.published import PublishedScore, load_scores
from dql.tables.cells import Cell, exclusion_notes, mean_and_error, read_cells
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
from dql.tables.suite_titles import other_data, short_notes, suite_title

METHOD, LABEL = "diffusion_ql", "Diffusion-QL"
RULES = ("offline", "online")
GAP = "online − offline"


def write_selection_table(
    cells: Sequence[Path],
    outputs: Sequence[Path],
    published: Path = paths.PUBLISHED,
    *,
    min_steps: int = 0,
    notes: Sequence[str] = (),
) -> Table:
    """Write the table of both selections; data made here in blocks of their own."""
    loaded = read_cells(cells)
    here = other_data(loaded)
    ours = {c["task"]: c for c in loaded if c not in here}
    scores = {(s.task, s.selection): s for s in load_scores("table4", published)}
    tasks = list(dict.fromkeys([*(task for task, _ in scores), *ours]))
    pairs = [
        PublishedCell(
            task,
            METHOD,
            f"{LABEL}, {rule}",
            scores.get((task, rule)),
            ours.get(task),
            rule,
        )
        for task in tasks
        for rule in RULES
    ]
    pairs_here = [
        PublishedCell(cell["task"], METHOD, f"{LABEL}, {rule}", None, cell, rule)
        for cell in here
        for rule in RULES
    ]
    blocks = [_published_block(tasks, scores), _our_block("Ours", tasks, ours)]
    blocks.append(verdict_block(pairs))
    for suite in dict.fromkeys(cell["suite"] for cell in here):
        own = {cell["task"]: cell for cell in here if cell["suite"] == suite}
        title = suite_title(suite, list(own.values()), min_steps)
        blocks.append(_our_block(title, list(own), own))
    table = Table(
        "Model selection: offline against online",
        long_frame([*pairs, *pairs_here]),
        blocks,
        [
            "Normalised scores, mean ± standard error. Offline: early stop on L_d, "
            "then the checkpoint of the paper's rank. Online: the best evaluation, "
            "optimistic: a maximum over noisy means. Bold: the higher of the two.",
            *dagger_notes(scores.values()),
            *withheld_notes(load_scores("table4", published, withheld=True)),
            *short_notes(here, min_steps),
            *exclusion_notes(loaded),
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _published_block(
    tasks: Sequence[str], scores: Mapping[tuple[str, str], PublishedScore]
) -> Block:
    """Return the published scores under both rules and their gap."""

    def read(task: str, column: str) -> Entry:
        if column != GAP:
            return published_entry(scores.get((task, column)))
        means = [scores[task, r].score if (task, r) in scores else None for r in RULES]
        return _gap(means)

    shown = [task for task in tasks if any((task, rule) in scores for rule in RULES)]
    columns = [*RULES, GAP]
    return score_grid("As published", shown, columns, read, complete_rows=True)


def _our_block(title: str, tasks: Sequence[str], cells: Mapping[str, Cell]) -> Block:
    """Return our scores under both rules and their gap."""

    def read(task: str, column: str) -> Entry:
        if task not in cells:
            return Entry("–" if column == GAP else "not run", competes=column != GAP)
        scores = cells[task]["scores"]
        if column == GAP:
            return _gap([scores[rule]["mean"] for rule in RULES])
        mean = scores[column]["mean"]
        absent = "not run" if not cells[task]["seeds"] else "–"
        return Entry(absent if mean is None else mean_and_error(scores[column]), mean)

    return score_grid(title, tasks, [*RULES, GAP], read, complete_rows=True)


def _gap(means: Sequence[float | None]) -> Entry:
    """Return the online mean minus the offline one."""
    if None in means:
        return Entry("–", competes=False)
    gap = means[1] - means[0]
    return Entry(f"{gap:.1f}".replace("-", "−"), gap, competes=False)
