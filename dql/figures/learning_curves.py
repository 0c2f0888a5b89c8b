"""Score against gradient steps, one panel per task, one line per method.

A line is the mean over seeds, its band the bootstrap interval over seeds. Below three
seeds there is no interval to speak of: every seed is a thin line of its own. More lines
than a reader tells apart are spread over several panels of the task, each with a legend
of its own and the means of the others in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from dql.results.statistics import bootstrap_interval
from dql.tables.cells import Cell

NUM_RESAMPLES = 2_000
BEHAVIOR_LABEL = "behaviour data"
MAX_LINES = 9
"""Methods that share one panel at most."""
MAX_LINES_OF_SEVERAL = 6
"""Methods of a panel where a task has several."""


def draw(cells: SuiteCells) -> Figure:
    """Draw every task that has runs."""
    shown = cells.with_runs()
    if not shown:
        return style.message_figure(cells.nothing_to_draw("No run has finished."))
    tasks = list(dict.fromkeys(cell["task"] for cell in shown))
    methods = [name for name in cells.methods if name in {c["method"] for c in shown}]
    if len(methods) > MAX_LINES:
        return _draw_groups(cells, shown, tasks, _groups(methods))
    looks = style.method_looks(cells.methods)
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
        _draw_panel(axes, [c for c in cells.of_task(task) if c["curves"]], looks)
    for axes in all_axes[:: min(3, len(tasks))]:
        axes.set_ylabel(cells.unit())
    handles = [_handle(looks[name], cells.methods[name]) for name in methods]
    panels.draw_legend(figure, [*handles, _behavior_handle()], footnote, columns)
    return figure


def _groups(methods: Sequence[str]) -> list[list[str]]:
    """Split the methods into groups of about one size, in their order."""
    count = ceil(len(methods) / MAX_LINES_OF_SEVERAL)
    size, larger = divmod(len(methods), count)
    starts = [index * size + min(index, larger) for index in range(count + 1)]
    return [
        list(methods[start:end]) for start, end in zip(starts, starts[1:], strict=False)
    ]


def _draw_groups(
    cells: SuiteCells, shown: list[Cell], tasks: list[str], groups: list[list[str]]
) -> Figure:
    """Draw a panel per task and group of methods, its legend beside it."""
    grey = "Grey: the means of the other panels' methods."
    footnote = footnote_lines([_what_is_drawn(shown), grey, *cells.notes()])
    figure, all_axes = panels.panel_rows(
        len(tasks) * len(groups),
        max_columns=2,
        height=1.45,
        legend_rows=1,
        footnote=footnote,
        right=0.785,
        wspace=0.85,
    )
    places = [(task, group) for task in tasks for group in groups]
    for axes, (task, group) in zip(all_axes, places, strict=True):
        of_task = [cell for cell in cells.of_task(task) if cell["curves"]]
        chosen = [cell for cell in of_task if cell["method"] in group]
        looks = style.numbered_looks(group)
        _draw_panel(axes, chosen, looks, [c for c in of_task if c not in chosen])
        axes.set_title(task if len(tasks) > 1 else "")
        handles = [
            _handle(looks[name], cells.methods[name].replace(" (", "\n("))
            for name in group
        ]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    for axes in all_axes[::2]:
        axes.set_ylabel(cells.unit())
    if len(tasks) == 1:
        figure.suptitle(tasks[0], fontsize=8.5)
    panels.draw_legend(figure, [_behavior_handle()], footnote, 1)
    return figure


def _draw_panel(
    axes: Axes,
    cells: Sequence[Cell],
    looks: Mapping[str, style.Look],
    behind: Sequence[Cell] = (),
) -> None:
    """Draw cells of one task, before the means of others in grey."""
    for cell in behind:
        steps, scores = curve_table(cell)
        axes.plot(steps, scores.mean(axis=0), color=style.MODE_COLOR, linewidth=0.5)
    for cell in cells:
        _draw_curve(axes, cell, looks[cell["method"]])
    first = [*cells, *behind][0]
    _draw_behavior(axes, first)
    axes.set_title(first["task"])
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    panels.label_steps(axes)


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


def _behavior_handle() -> Line2D:
    """Return the legend's entry of the data's score."""
    return Line2D([], [], color=style.DATA_COLOR, linestyle=":", label=BEHAVIOR_LABEL)
