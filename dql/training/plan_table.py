"""What a scale would train, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dql.training.plan import Work, totals

if TYPE_CHECKING:
    import torch


def print_plan(works: list[Work], device: torch.device) -> None:
    """Print the work by suite and method, and its sum."""
    table = Table(title="To train, with this machine's time per gradient step")
    table.add_column("suite", no_wrap=True)
    table.add_column("method", overflow="fold")  # where space is short; never a number
    for name in ("runs", "done", "k steps", "ms/step", "hours", "eval h", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for work in (*works, totals(works)):
        if work.suite == "all":
            table.add_section()
        rounded = sorted({float(f"{value:.2g}") for value in work.milliseconds})
        spread = [f"{value:g}" for value in rounded]
        table.add_row(
            work.suite,
            work.method,
            str(work.num_runs),
            str(work.num_finished),
            f"{work.num_gradient_steps / 1000:,.0f}",
            " to ".join(dict.fromkeys([*spread[:1], *spread[-1:]])),
            f"{work.hours:,.2f}",
            f"{work.evaluation_hours:,.2f}",
            f"{work.checkpoint_bytes / 1e6:,.0f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"Hours are of one job at a time on {device}, one thread; jobs side by side"
        " divide them. Evaluation takes eval h at most: as if each episode lasted"
        " to its horizon. Timed on this machine as loaded as it is now: on an idle one"
        " they are fewer. On a GPU it goes on beside the training, its physics on all"
        " cores. Not included: downloads, making local data.",
        highlight=False,
    )
