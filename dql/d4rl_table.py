"""The paper's Table 1 as published, with our cells beside it and a verdict for each.

Numbers that were not read in the paper itself carry a dagger; numbers that no source
prints are withheld and named. The average of a suite is shown only when every task of
it has a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dql import paths
from dql.published import PublishedScore, find_score, load_scores
from dql.table_cells import (
    Cell,
    best_columns,
    exclusion_notes,
    mean_and_error,
    read_cells,
)
from dql.table_files import Block, Table, write_table

SUITES = {"gym": "Gym", "antmaze": "AntMaze", "adroit": "Adroit", "kitchen": "Kitchen"}
HEADLINE_METHOD = "diffusion_ql"
NOT_RUN = "not run"
COLUMNS = (
    "suite", "task", "published_method", "method", "published",
    "published_standard_error", "published_status", "published_source",
    "published_note", "ours", "ours_standard_error", "ours_selection", "num_seeds",
    "difference", "verdict", "protocol_differences",
)  # fmt: skip


def write_d4rl_table(
    cells: Sequence[Path], outputs: Sequence[Path], published: Path = paths.PUBLISHED
) -> Table:
    """Write the D4RL table; cells that were not run are shown as such."""
    ours = {(cell["task"], cell["method"]): cell for cell in read_cells(cells)}
    scores = load_scores("table1", published)
    tasks = _tasks(published)
    blocks = [
        _suite_block(title, tasks[suite], scores, ours)
        for suite, title in SUITES.items()
        if suite in tasks
    ]
    all_tasks = [task for suite in tasks.values() for task in suite]
    blocks.append(_verdict_block(all_tasks, ours, published))
    long = [_long_row(score, ours) for score in scores]
    long += _unpublished_rows(scores, ours, published)
    table = Table(
        "D4RL: published scores and ours",
        pd.DataFrame(long, columns=COLUMNS),
        blocks,
        [
            "Normalised scores: mean ± standard error where the paper prints one. "
            "Bold: the highest published mean of a row that has all its numbers.",
            "† not read in the paper itself but in later papers that quote it.",
            "Averages are computed here from the rows above, where all have a number.",
            *(
                f"withheld: {score.task}, {score.published_name}: {score.note}"
                for score in load_scores("table1", published, withheld=True)
            ),
            *exclusion_notes(list(ours.values())),
        ],
    )
    write_table(table, outputs)
    return table


def _tasks(published: Path) -> dict[str, list[str]]:
    """Return the paper's tasks by suite, in the order of its table."""
    tasks: dict[str, list[str]] = {}
    scores = load_scores("table1", published)
    for score in scores + load_scores("table1", published, withheld=True):
        suite = tasks.setdefault(score.suite, [])
        if score.task not in suite:
            suite.append(score.task)
    return tasks


def published_text(score: PublishedScore | None) -> str:
    """Return a published number as the table prints it."""
    if score is None:
        return "–"
    error = "" if score.standard_error is None else f" ± {score.standard_error:.1f}"
    return f"{score.score:.1f}{error}{'' if score.status == 'primary' else '†'}"


def _suite_block(
    title: str,
    tasks: Sequence[str],
    scores: Sequence[PublishedScore],
    ours: dict[tuple[str, str], Cell],
) -> Block:
    """Return a suite's published scores by method, our Diffusion-QL last."""
    by_key = {(score.task, score.published_name): score for score in scores}
    names = list(dict.fromkeys(s.published_name for s in scores if s.task in tasks))
    rows, bold = [], set()
    for index, task in enumerate(tasks):
        found = [by_key.get((task, name)) for name in names]
        if all(found):
            means = {i: score.score for i, score in enumerate(found, start=1)}
            bold |= {(index, column) for column in best_columns(means)}
        cell = ours.get((task, HEADLINE_METHOD))
        rows.append([task, *map(published_text, found), _our_text(cell)])
    average = _averages(tasks, names, by_key, ours)
    means = dict(enumerate(average[:-1], start=1))
    if None not in means.values():
        bold |= {(len(rows), column) for column in best_columns(means)}
    rows.append(
        ["average", *("–" if mean is None else f"{mean:.1f}" for mean in average)]
    )
    columns = ["task", *names, "Diffusion-QL, ours"]
    frame = pd.DataFrame(rows, columns=columns)
    return Block(title, frame, frozenset(bold), frozenset([len(tasks)]))


def _averages(
    tasks: Sequence[str],
    names: Sequence[str],
    by_key: dict[tuple[str, str], PublishedScore],
    ours: dict[tuple[str, str], Cell],
) -> list[float | None]:
    """Return every column's mean over the suite, None where a task has no number."""
    averages = []
    for name in names:
        found = [by_key.get((task, name)) for task in tasks]
        complete = all(found)
        averages.append(
            sum(score.score for score in found) / len(found) if complete else None
        )
    means = [_our_mean(ours.get((task, HEADLINE_METHOD))) for task in tasks]
    complete = all(mean is not None for mean in means)
    return [*averages, sum(means) / len(means) if complete else None]


def _our_scores(cell: Cell) -> dict[str, Any]:
    """Return the selection of a cell that was compared with the published number."""
    comparison = cell.get("comparison")
    return cell["scores"][comparison["score"] if comparison else cell["headline"]]


def _our_mean(cell: Cell | None) -> float | None:
    """Return the mean of a cell that was run."""
    return None if cell is None else _our_scores(cell)["mean"]


def _our_text(cell: Cell | None) -> str:
    """Return our score as the table prints it, or that there is none."""
    if _our_mean(cell) is None:
        return NOT_RUN
    return mean_and_error(_our_scores(cell))


def _verdict_block(
    tasks: Sequence[str], ours: dict[tuple[str, str], Cell], published: Path
) -> Block:
    """Return published, ours, difference, seeds and verdict for every cell."""
    keys = [(task, HEADLINE_METHOD) for task in tasks]
    keys += [key for key in ours if key not in keys]
    rows = []
    for task, method in keys:
        cell = ours.get((task, method))
        number = published_text(find_score(task, method, published))
        label = "Diffusion-QL" if cell is None else cell["label"]
        if _our_mean(cell) is None:
            rows.append([task, label, number, "–", "–", "0", "–", NOT_RUN])
            continue
        rows.append([task, label, number, _our_text(cell), *_judgement(cell)])
    columns = [
        "task", "method", "published", "ours", "difference", "seeds", "protocol",
        "verdict",
    ]  # fmt: skip
    return Block("Ours beside published", pd.DataFrame(rows, columns=columns))


def _judgement(cell: Cell) -> list[str]:
    """Return difference, seeds, deviations from the paper's protocol, and verdict."""
    comparison, seeds = cell["comparison"], str(len(cell["seeds"]))
    if comparison is None:
        return ["–", seeds, "–", "no published number"]
    protocol = "; ".join(cell["protocol_differences"]) or "the paper's"
    difference = f"{comparison['difference']:+.1f}".replace("-", "−")
    return [difference, seeds, protocol, comparison["verdict"]]


def _long_row(
    score: PublishedScore, ours: dict[tuple[str, str], Cell]
) -> dict[str, Any]:
    """Return a published number, and ours beside it, as one row of the CSV."""
    cell = ours.get((score.task, score.method)) if score.method else None
    return {
        "suite": score.suite,
        "task": score.task,
        "published_method": score.published_name,
        "method": score.method,
        "published": score.score,
        "published_standard_error": score.standard_error,
        "published_status": score.status,
        "published_source": score.source,
        "published_note": score.note or None,
        **_our_columns(cell),
    }


def _unpublished_rows(
    scores: Sequence[PublishedScore],
    ours: dict[tuple[str, str], Cell],
    published: Path,
) -> list[dict[str, Any]]:
    """Return the rows of our cells that Table 1 has no number for."""
    known = {(score.task, score.method) for score in scores}
    rows = []
    for (task, method), cell in ours.items():
        if (task, method) in known:
            continue
        score = find_score(task, method, published)
        row = _long_row(score, ours) if score else {"method": method}
        identity = {"suite": cell["suite"], "task": task}
        rows.append(identity | row | _our_columns(cell))
    return rows


def _our_columns(cell: Cell | None) -> dict[str, Any]:
    """Return our half of a CSV row."""
    if _our_mean(cell) is None:
        return {"num_seeds": 0, "verdict": NOT_RUN}
    scores, comparison = _our_scores(cell), cell["comparison"] or {}
    return {
        "ours": scores["mean"],
        "ours_standard_error": scores["standard_error"],
        "ours_selection": comparison.get("score", cell["headline"]),
        "num_seeds": len(cell["seeds"]),
        "difference": comparison.get("difference"),
        "verdict": comparison.get("verdict", "no published number"),
        "protocol_differences": "; ".join(cell["protocol_differences"]) or None,
    }
