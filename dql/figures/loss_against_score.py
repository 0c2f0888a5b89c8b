"""L_d against score at every evaluation, with the checkpoints that the rules choose.

The paper stops early on L_d, which it calls a lagging indicator of online performance
(Appendix D). A panel per task and method that logs a behaviour-cloning loss: every seed
is a line through its evaluations in the order of training.
"""

from __future__ import annotations

from collections.abc import Mapping
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

MANY_CELLS = 12
"""More panels than that are drawn smaller."""
TITLE_WIDTH = 24  # characters over a small panel
LINE_INCHES = 0.12
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
    many = len(shown) > MANY_CELLS
    columns = 4 if many else 3
    tasks = {cell["task"] for cell in shown}
    several = len(tasks) > 1
    names = {
        task: wrap(task, TITLE_WIDTH if many else 2 * TITLE_WIDTH) for task in tasks
    }
    more = LINE_INCHES * (max(map(len, names.values())) - 1) if several else 0
    figure, all_axes = panels.panel_rows(
        len(shown),
        max_columns=columns,
        height=1.15 if many else 1.6,
        legend_rows=1,
        footnote=footnote,
        gap=(0.6 if many else 0.7) + more,
        top=(0.38 if several else 0.25) + more,
    )
    for index, (axes, cell) in enumerate(zip(all_axes, shown, strict=True)):
        for seed, curve in cell["curves"].items():
            _draw_seed(axes, curve, _chosen_steps(cell, seed))
        title = [*names[cell["task"]], cell["label"]] if several else [cell["label"]]
        axes.set_title("\n".join(title), fontsize=7.5 if several or many else None)
        axes.margins(0.13)
        axes.grid()
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4 if many else 5))
        axes.set_xlabel("behaviour-cloning loss")
        if index % columns == 0:
            axes.set_ylabel(cells.unit())
    handles = [
        Line2D([], [], linestyle="none", fillstyle="none", label=rule, **mark)
        for rule, mark in RULE_MARKS.items()
    ]
    panels.draw_legend(figure, handles, footnote, len(handles))
    return figure


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
