"""How a compared cell is shown: as text or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dql.diagnostics.cell_comparison import CellComparison, Score
from dql.diagnostics.curves import Curve
from dql.results.published import NUM_PUBLISHED_SEEDS, PublishedScore


def as_json(comparison: CellComparison) -> dict[str, Any]:
    """Return a comparison as JSON has it: paths are text, NaN is null."""
    content = asdict(comparison)
    for curve, found in zip(
        [comparison.scores, *comparison.metrics],
        [content["scores"], *content["metrics"]],
        strict=True,
    ):
        if curve:
            found["is_within_tolerance"] = curve.is_within_tolerance
            found["first_difference"] = curve.first_difference
    is_same = {"is_same": comparison.is_same, "is_whole": comparison.is_whole}
    return _plain(is_same | content)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_comparison(comparison: CellComparison, console: Console) -> None:
    """Print both curves, the scores beside the paper's, the verdicts and the cost."""
    title = f"{comparison.task}, {comparison.method}, seed {comparison.seed}"
    console.print(title, style="bold")
    curves = [*([comparison.scores] if comparison.scores else []), *comparison.metrics]
    if curves:
        console.print(_curve_table(curves))
    if comparison.rerun:
        console.print(_score_table(comparison))
    if comparison.scores is None:
        console.print("No evaluation in common: metrics only.")
    _print_judgement(comparison, console)
    cost = ", ".join(
        f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in comparison.cost.items()
        if value is not None
    )
    text = f"Cost: {cost}. Files: {comparison.rerun_directory}"
    console.print(text)


def _print_judgement(comparison: CellComparison, console: Console) -> None:
    """Print the levels of sameness with the stored run and with the paper."""
    part = (
        ""
        if comparison.is_whole
        else (
            f", first {comparison.num_gradient_steps:,} of "
            f"{comparison.num_stored_gradient_steps:,} gradient steps"
        )
    )
    text = f"Against the stored run{part}: {comparison.sameness}"
    console.print(text, style="bold")
    for reason in (*comparison.reasons, *comparison.made_otherwise):
        console.print(f"  {reason}")
    if not comparison.is_whole:
        console.print("Against the paper: of whole runs only", style="bold")
        return
    verdict = comparison.verdict
    text = f"{verdict.verdict} ({verdict.reason})" if verdict else "no published number"
    console.print(f"Against the paper: {text}", style="bold")
    for size in comparison.sizes:
        console.print(f"  {size}")


def _curve_table(curves: Sequence[Curve]) -> Table:
    """Return a row for each quantity: where the curves end and how far they part."""
    table = Table(box=None, pad_edge=False)
    headings = ("curve", "points", "to step", "stored", "re-run", "largest gap")
    for heading in (*headings, "tolerated"):
        justify = "left" if heading == "curve" else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for curve in filter(lambda curve: curve.steps, curves):
        worst = int(curve.differences.argmax())
        gap = "none" if curve.is_identical else f"{curve.differences[worst]:.2g}"
        table.add_row(
            curve.name,
            f"{len(curve.steps)}",
            f"{curve.steps[-1]:,}",
            f"{curve.stored[-1]:.6g}",
            f"{curve.rerun[-1]:.6g}",
            gap,
            f"{curve.tolerances[worst]:.2g}",
        )
    return table


def _score_table(comparison: CellComparison) -> Table:
    """Return the last score that both have beside the cell's and the paper's."""
    table = Table(box=None, pad_edge=False)
    for heading in ("value", comparison.score_unit, "re-run minus it"):
        table.add_column(heading, overflow="fold")
    rows = [("stored, this seed", comparison.stored)]
    if comparison.is_whole:
        rows += [("stored, cell over seeds", comparison.cell)]
        rows += [("published", _published_score(comparison.published))]
    for name, score in rows:
        gap = "-" if score is None else f"{comparison.rerun.mean - score.mean:+.2f}"
        table.add_row(name, "-" if score is None else str(score), gap)
    table.add_row("re-run", str(comparison.rerun), "")
    return table


def _published_score(number: PublishedScore | None) -> Score | None:
    """Return a published number as a score over seeds."""
    if number is None:
        return None
    return Score(number.score, number.standard_error, NUM_PUBLISHED_SEEDS, "seeds")
