"""Re-run one run of a cell beside the stored results and print how they compare.

A re-run trains into results/rerun with the same layout as results/runs and never
touches what is stored.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dql import paths
from dql.config.schema import RunConfig
from dql.diagnostics.cell_comparison import CellComparison, Score, compare_cell
from dql.errors import UserError
from dql.results.published import NUM_PUBLISHED_SEEDS, PublishedScore


def rerun_cell(
    run: RunConfig,
    *,
    stored: Path | None = None,
    rerun: Path | None = None,
    cell: Path | None = None,
    console: Console | None = None,
) -> CellComparison:
    """Train a run again into results/rerun and print how it compares with the rest."""
    stored = stored or paths.run_directory(run.task, run.method, run.seed)
    rerun = rerun or paths.run_directory(run.task, run.method, run.seed, paths.RERUN)
    if rerun.resolve() == stored.resolve():
        raise UserError(f"{rerun}: a re-run may not write over the stored run")
    if (rerun / paths.PROVENANCE_FILE).is_file():
        # A finished re-run would be left as it is, so this one starts afresh; one that
        # was interrupted is resumed.
        shutil.rmtree(rerun)
    from dql.training import loop as training

    training.train([run], [rerun], foreign_checkpoint="discard")
    cell = cell or paths.cell_file(run.task, run.method)
    comparison = compare_cell(run, stored, rerun, cell)
    print_comparison(comparison, console or Console())
    return comparison


def print_comparison(comparison: CellComparison, console: Console) -> None:
    """Print stored, re-run and published values, the verdicts and the cost."""
    title = f"{comparison.task}, {comparison.method}, seed {comparison.seed}"
    table = Table(title=title, title_justify="left")
    for heading in ("value", comparison.score_unit, "re-run minus it"):
        table.add_column(heading, overflow="fold")
    published = _published_score(comparison.published)
    for name, score in (
        ("stored, this seed", comparison.stored),
        ("stored, cell over seeds", comparison.cell),
        ("published", published),
    ):
        gap = "-" if score is None else f"{comparison.rerun.mean - score.mean:+.2f}"
        table.add_row(name, "-" if score is None else str(score), gap)
    table.add_row("re-run", str(comparison.rerun), "")
    console.print(table)
    console.print(f"Against the stored run: {comparison.sameness}", style="bold")
    for reason in comparison.reasons:
        console.print(f"  {reason}", highlight=False)
    verdict = comparison.verdict
    text = f"{verdict.verdict} ({verdict.reason})" if verdict else "no published number"
    console.print(f"Against the paper: {text}", style="bold")
    for size in comparison.sizes:
        console.print(f"  {size}", highlight=False)
    cost = ", ".join(
        f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in comparison.cost.items()
        if value is not None
    )
    console.print(f"Cost: {cost}. Files: {comparison.rerun_directory}", highlight=False)


def _published_score(number: PublishedScore | None) -> Score | None:
    """Return a published number as a score over seeds."""
    if number is None:
        return None
    return Score(number.score, number.standard_error, NUM_PUBLISHED_SEEDS, "seeds")
