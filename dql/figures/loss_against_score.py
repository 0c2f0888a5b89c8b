"""L_d against score at every evaluation, with the checkpoints that the rules choose.

The paper stops early on L_d, which it calls a lagging indicator of online performance
(Appendix D). A panel per task and method that logs a behaviour-cloning loss: every seed
is a line through its evaluations in the order of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dql.figures import panels, style
from dql.figures.suite_cells import SuiteCells, footnote_lines
from dql.tables.cells import Cell

NUM_COLUMNS = 3
"""Panels beside each other where all are of one task, or of one method."""
MOST_METHODS = 4
"""Panels in a row of methods, under the name of their task."""
TITLE_WIDTH = 26  # characters over a panel of such a row
LINE_INCHES = 0.12
HEADING_INCHES = 0.17
STEP_COLORS = "cividis"
RULE_MARKS: dict[str, dict[str, Any]] = {
    "offline": {"marker": "s", "markersize": 6.5, "color": style.METHOD_COLORS[
        "diffusion_ql"]},
    "online": {"marker": "o", "markersize": 9.5, "color": style.BASELINE_COLOR},
}  # fmt: skip
"""Hollow marks of different size and shape: both stay visible on one checkpoint."""


def draw(cells: SuiteCells) -> Figure:
    """Draw the cells whose runs logged L_d."""
    shown = [cell for cell in cells.with_runs() if _has_losses(cell)]
    if not shown:
        return style.message_figure(
            cells.nothing_to_draw("No finished run logged L_d (actor/bc_loss).")
        )
    rules = {cell["scores"]["offline"].get("rule") for cell in shown} - {None}
    rule = f" ({', '.join(sorted(rules))})" if rules else ""
    footnote = footnote_lines(
        [
            "A line per seed through its evaluations; dark points are early, bright "
            "ones late in training. Losses (L_d, for the diffusion policies): means "
            f"since the evaluation before. Offline: chosen by the loss{rule}; online: "
            "the best evaluation.",
            *cells.notes(),
        ]
    )
    rows, is_headed = _rows(shown)
    columns = max(map(len, rows))
    titles = {(c["task"], c["method"]): _title(c, shown, is_headed) for c in shown}
    above = LINE_INCHES * (max(map(len, titles.values())) - 1)
    above += HEADING_INCHES if is_headed else 0.0
    figure, grid = panels.panel_rows(
        (len(rows) - 1) * columns + len(rows[-1]),
        max_columns=columns,
        height=1.2 if len(shown) > NUM_COLUMNS**2 else 1.6,
        legend_rows=1,
        footnote=footnote,
        gap=0.42 + above,
        top=0.25 + above,
    )
    for first, row in zip(range(0, len(grid), columns), rows, strict=True):
        if is_headed:
            _write_heading(grid[first], row[0]["task"], above)
        grid[first].set_ylabel(cells.unit())
        for axes, cell in zip(grid[first:], row, strict=False):
            _draw_cell(axes, cell, titles[cell["task"], cell["method"]])
        for axes in grid[first + len(row) : first + columns]:
            axes.remove()
    for column in range(columns):
        lowest = [axes for axes in grid[column::columns] if axes.figure][-1]
        lowest.set_xlabel("behaviour-cloning loss")
    handles = [
        Line2D([], [], linestyle="none", fillstyle="none", label=rule, **mark)
        for rule, mark in RULE_MARKS.items()
    ]
    panels.draw_legend(figure, handles, footnote, len(handles))
    return figure


def _rows(shown: Sequence[Cell]) -> tuple[list[list[Cell]], bool]:
    """Return the panels' cells row by row, and whether rows are headed by their task.

    They are where tasks have several methods: each task begins a row of its own.
    """
    of_tasks: dict[str, list[Cell]] = {}
    for cell in shown:
        of_tasks.setdefault(cell["task"], []).append(cell)
    is_headed = 1 < len(of_tasks) < len(shown)
    groups = list(of_tasks.values()) if is_headed else [list(shown)]
    width = MOST_METHODS if is_headed else NUM_COLUMNS
    rows = [
        group[start : start + width]
        for group in groups
        for start in range(0, len(group), width)
    ]
    return rows, is_headed


def _title(cell: Cell, shown: Sequence[Cell], is_headed: bool) -> list[str]:
    """Return the lines above a panel: its method, and its task where no row has it."""
    if is_headed:
        return wrap(cell["label"], TITLE_WIDTH)
    several = len({other["task"] for other in shown}) > 1
    return [cell["task"], cell["label"]] if several else [cell["label"]]


def _write_heading(axes: Axes, task: str, above: float) -> None:
    """Name a row's task above the titles of its panels, from the first one's edge."""
    axes.annotate(
        task, xy=(0, 1), xycoords="axes fraction", xytext=(0, 72 * (above + 0.06)),
        textcoords="offset points", fontsize=8, weight="bold", annotation_clip=False,
    )  # fmt: skip


def _draw_cell(axes: Axes, cell: Cell, title: Sequence[str]) -> None:
    """Draw all seeds of a cell."""
    for seed, curve in cell["curves"].items():
        _draw_seed(axes, curve, _chosen_steps(cell, seed))
    axes.set_title("\n".join(title), fontsize=7.5)
    axes.margins(0.13)
    axes.grid()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))


def _has_losses(cell: Cell) -> bool:
    """Return whether every counted run has L_d at some evaluation."""
    return all(
        any(loss is not None for loss in curve["bc_losses"] or [])
        for curve in cell["curves"].values()
    )


def _chosen_steps(cell: Cell, seed: str) -> dict[str, int]:
    """Return the gradient step that each rule chose for a seed."""
    return {
        rule: cell["scores"][rule]["gradient_steps"][seed]
        for rule in RULE_MARKS
        if cell["scores"][rule]["mean"] is not None
    }


def _draw_seed(axes: Axes, curve: Mapping[str, list], chosen: dict[str, int]) -> None:
    """Draw one seed's evaluations and mark the chosen ones."""
    known = [
        (loss, score, step)
        for loss, score, step in zip(
            curve["bc_losses"], curve["scores"], curve["gradient_steps"], strict=True
        )
        if loss is not None
    ]
    losses, scores, steps = map(np.array, zip(*known, strict=True))
    axes.plot(losses, scores, color=style.MODE_COLOR, linewidth=0.7, zorder=1)
    axes.scatter(
        losses, scores, c=steps, cmap=STEP_COLORS, vmin=0, s=11, linewidths=0, zorder=2
    )
    for rule, step in chosen.items():
        at = steps == step
        axes.plot(
            losses[at], scores[at], linestyle="none", fillstyle="none", zorder=3,
            markeredgewidth=1.0, **RULE_MARKS[rule],
        )  # fmt: skip
