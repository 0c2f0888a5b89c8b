"""Score against noise on the data, or against how many of them there are.

A panel for each task and kind of variant. A method's mark is the mean of its last
evaluation over seeds, a dot is a seed, a bar the 95 % interval of the mean: over seeds
from three on, else over the episodes of these seeds alone. The data's own score is the
mean over their episodes, of which random actions make many short ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.figures import panels, style
from dql.figures.learning_curves import BEHAVIOR_LABEL, BEHAVIOR_LINE
from dql.figures.suite_cells import (
    SuiteCells,
    curve_interval,
    curve_table,
    footnote_lines,
)
from dql.figures.suite_selection import data_series
from dql.tables.cells import Cell

SIZE = "episode_share"
NAMES = {
    SIZE: "share of the episodes, %",
    "random_share": "transitions of random actions, %",
    "action_noise": "noise on actions, deviation",
    "reward_noise": "noise on rewards, in their deviations",
    "observation_noise": "noise on observations, in their deviations",
}
SHARES = (SIZE, "random_share")
"""Keys whose levels are printed as per cent."""
SPREAD = 0.012
"""Between two methods of a level, in shares of the axis: no bar hides another."""


def draw(cells: SuiteCells) -> Figure:
    """Draw every kind of variant of which two levels or more have runs."""
    shown = cells.with_runs()
    found = data_series([(cell["task"], cell["method"]) for cell in shown])
    if not found:
        return style.message_figure(
            cells.nothing_to_draw("No kind of variant has runs of two levels.")
        )
    drawn = {cell["method"] for cell in shown}
    methods = [name for name in cells.methods if name in drawn]
    looks = style.method_looks(cells.methods)
    footnote = footnote_lines([_what_is_drawn(), *cells.notes()])
    labels = [*(cells.methods[name] for name in methods), BEHAVIOR_LABEL]
    columns = panels.legend_columns(labels)
    figure, all_axes = panels.panel_rows(
        len(found),
        max_columns=2,
        height=2.1,
        legend_rows=ceil(len(labels) / columns),
        footnote=footnote,
    )
    by_place = {(cell["task"], cell["method"]): cell for cell in shown}
    for axes, ((task, key), levels) in zip(all_axes, found.items(), strict=True):
        for place, method in enumerate(methods):
            line = [
                (level, by_place[name, method])
                for name, level in levels.items()
                if (name, method) in by_place
            ]
            offset = place - (len(methods) - 1) / 2
            _draw_method(axes, key, levels, line, looks[method], offset)
        _draw_data(axes, key, levels, shown)
        _label_levels(axes, key, levels)
        axes.set_title(task)
        axes.grid(axis="y")
    for axes in all_axes[:: min(2, len(all_axes))]:
        axes.set_ylabel(cells.unit())
    handles = [
        Line2D([], [], color=looks[name].color, marker=looks[name].marker,
               linestyle=looks[name].linestyle, label=cells.methods[name])
        for name in methods
    ]  # fmt: skip
    handles.append(Line2D([], [], **BEHAVIOR_LINE, label=BEHAVIOR_LABEL))
    panels.draw_legend(figure, handles, footnote, columns)
    return figure


def _what_is_drawn() -> str:
    return (
        "Marks: means over seeds of the last evaluation, without noise; dots: single "
        "seeds; bars: 95 % intervals, over seeds from three on, else over the episodes "
        "of these runs alone; dotted: the mean over the data's episodes."
    )


def _position(key: str, level: float) -> float:
    """Return where a level stands: sizes are equally far apart by their ratios."""
    return log10(level) if key == SIZE else level


def _draw_method(
    axes: Axes,
    key: str,
    levels: Mapping[str, float],
    line: Sequence[tuple[float, Cell]],
    look: style.Look,
    offset: float,
) -> None:
    """Draw one method at every level that it has runs of, the lowest first."""
    positions = [_position(key, level) for level in levels.values()]
    shift = offset * SPREAD * (max(positions) - min(positions))
    xs, means = [], []
    for level, cell in sorted(line, key=lambda pair: pair[0]):
        x, last = _position(key, level) + shift, curve_table(cell)[1][:, -1]
        xs.append(x)
        means.append(last.mean())
        if len(last) > 1:
            axes.plot([x] * len(last), last, ".", color=look.color, markersize=3)
        band = curve_interval(cell)
        if band is not None:
            ends = [bound[-1] for bound in band]
            axes.plot([x, x], ends, color=look.color, linewidth=0.8, alpha=0.7)
    axes.plot(xs, means, color=look.color, linestyle=look.linestyle, marker=look.marker)


def _draw_data(
    axes: Axes, key: str, levels: Mapping[str, float], cells: Sequence[Cell]
) -> None:
    """Draw the mean score of the data's episodes at every level that has it."""
    scores = {cell["task"]: cell["dataset"].get("behavior_score") for cell in cells}
    found = sorted(
        (_position(key, level), scores[task])
        for task, level in levels.items()
        if scores.get(task) is not None
    )
    axes.plot(*np.array(found).reshape(-1, 2).T, **BEHAVIOR_LINE)


def _label_levels(axes: Axes, key: str, levels: Mapping[str, float]) -> None:
    """Write the levels under the axis, on the scale that they stand on."""
    scale = 100 if key in SHARES else 1
    ordered = sorted(set(levels.values()))
    axes.set_xticks(
        [_position(key, level) for level in ordered],
        [f"{scale * level:g}" for level in ordered],
    )
    axes.set_xlabel(NAMES[key])
