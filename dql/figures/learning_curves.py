"""Score against gradient steps, one panel per task, one line per method.

A line is the mean over seeds, its band the bootstrap interval over seeds. Below three
seeds there is no interval to speak of: every seed is a thin line of its own.
"""

from __future__ import annotations

from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.figures import panels, style
from dql.figures.suite_cells import (
    SuiteCells,
    curve_table,
    footnote_lines,
    has_interval,
)
from dql.statistics import bootstrap_interval
from dql.table_cells import Cell

NUM_RESAMPLES = 2_000
BEHAVIOR_LABEL = "behaviour data"


def draw(cells: SuiteCells) -> Figure:
    """Draw every task that has runs."""
    shown = cells.with_runs()
    if not shown:
        return style.message_figure(cells.nothing_to_draw("No run has finished."))
    tasks = list(dict.fromkeys(cell["task"] for cell in shown))
    looks = style.method_looks(cells.methods)
    methods = [name for name in cells.methods if name in {c["method"] for c in shown}]
    footnote = footnote_lines([_what_is_drawn(shown), *cells.notes()])
    labels = [*(cells.methods[name] for name in methods), BEHAVIOR_LABEL]
    columns = panels.legend_columns(labels)
    figure, all_axes = panels.panel_rows(
        len(tasks),
        max_columns=3,
        height=1.9 if len(tasks) < 4 else 1.45,
        legend_rows=ceil(len(labels) / columns),
        footnote=footnote,
    )
    for axes, task in zip(all_axes, tasks, strict=True):
        of_task = [cell for cell in cells.of_task(task) if cell["curves"]]
        for cell in of_task:
            _draw_curve(axes, cell, looks[cell["method"]])
        _draw_behavior(axes, of_task[0])
        axes.set_title(task)
        axes.set_xlim(left=0)
        axes.grid(axis="y")
        panels.label_steps(axes)
    for axes in all_axes[:: min(3, len(tasks))]:
        axes.set_ylabel(cells.unit())
    handles = [_handle(looks[name], cells.methods[name]) for name in methods]
    handles.append(
        Line2D([], [], color=style.DATA_COLOR, linestyle=":", label=BEHAVIOR_LABEL)
    )
    panels.draw_legend(figure, handles, footnote, columns)
    return figure


def _what_is_drawn(shown: list[Cell]) -> str:
    """Return what lines and bands are, which depends on the number of seeds."""
    few = [cell for cell in shown if not has_interval(len(cell["curves"]))]
    band = "bands: 95 % bootstrap intervals over seeds"
    thin = "thin lines: single seeds, too few for an interval"
    parts = ([band] if len(few) < len(shown) else []) + ([thin] if few else [])
    return f"Lines: means over seeds; {'; '.join(parts)}."


def _draw_curve(axes: Axes, cell: Cell, look: style.Look) -> None:
    """Draw one cell's mean, with its band or its seeds."""
    steps, scores = curve_table(cell)
    if has_interval(len(scores)):
        low, high = zip(
            *(
                bootstrap_interval(column, num_resamples=NUM_RESAMPLES)
                for column in scores.T
            ),
            strict=True,
        )
        axes.fill_between(steps, low, high, color=look.color, alpha=0.18, linewidth=0)
    elif len(scores) > 1:
        axes.plot(steps, scores.T, color=look.color, linewidth=0.6, alpha=0.6)
    axes.plot(
        steps,
        scores.mean(axis=0),
        color=look.color,
        linestyle=look.linestyle,
        marker=look.marker,
        markevery=max(1, len(steps) // 6),
    )


def _draw_behavior(axes: Axes, cell: Cell) -> None:
    """Draw the mean score of the episodes that were trained on."""
    score = cell["dataset"].get("behavior_score")
    if score is not None:
        axes.axhline(score, color=style.DATA_COLOR, linestyle=":", linewidth=1.0)


def _handle(look: style.Look, label: str) -> Line2D:
    """Return a method's entry of the legend."""
    return Line2D(
        [], [], color=look.color, linestyle=look.linestyle, marker=look.marker,
        label=label,
    )  # fmt: skip
