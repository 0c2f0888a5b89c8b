"""What one setting of a method changes: eta, N, the number of candidates.

Two panels for each task and setting: the score at every value under the three
selections, and the learning curves. Intervals as in the learning curves: over seeds
from three on, else over the episodes of these runs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.config.validation import ALIASES
from dql.figures import panels, style
from dql.figures.learning_curves import draw_references, reference_handles
from dql.figures.suite_cells import (
    SuiteCells,
    curve_interval,
    curve_table,
    footnote_lines,
)
from dql.figures.suite_selection import sweeps
from dql.tables.cells import Cell

NAMES = {"eta": "η, the weight of the Q term", "N": "N, the number of denoising steps"}
VALUE_COLORS = "viridis"
MARKS = {
    "last": {"marker": "o", "color": style.METHOD_COLORS["diffusion_ql"]},
    "offline": {"marker": "s", "color": style.BASELINE_COLOR, "fillstyle": "none"},
    "online": {"marker": "^", "color": style.DATA_COLOR, "fillstyle": "none"},
}
OFFSET = {"last": 0.0, "offline": -0.13, "online": 0.13}
"""Places beside a value's tick, so that no mark hides another."""


def draw(cells: SuiteCells) -> Figure:
    """Draw every sweep of which two values or more have runs."""
    shown = {(cell["task"], cell["method"]): cell for cell in cells.with_runs()}
    found = {
        (task, key): [shown[task, name] for name in names if (task, name) in shown]
        for (task, _, key), names in sweeps(
            [(cell["task"], cell["method"]) for cell in cells.cells]
        ).items()
    }
    rows = {place: group for place, group in found.items() if len(group) > 1}
    if not rows:
        return style.message_figure(
            cells.nothing_to_draw("No setting has runs of two values.")
        )
    footnote = footnote_lines(
        [
            "Left: by selection; bars at the last evaluation are 95 % intervals, over "
            "seeds from three on, else over the episodes of these runs alone. Right: "
            "means over seeds with the same intervals.",
            *cells.notes(),
        ]
    )
    references = reference_handles(list(shown.values()))
    handles = [Line2D([], [], linestyle="none", label=name, **mark)
               for name, mark in MARKS.items()] + references  # fmt: skip
    columns = panels.legend_columns([handle.get_label() for handle in handles])
    figure, all_axes = panels.panel_rows(
        2 * len(rows), max_columns=2, height=1.7,
        legend_rows=ceil(len(handles) / columns), footnote=footnote,
        right=0.89, wspace=0.2,
    )  # fmt: skip
    pairs = zip(all_axes[::2], all_axes[1::2], strict=True)
    for (left, right), ((task, key), group) in zip(pairs, rows.items(), strict=True):
        ordered = sorted(group, key=lambda cell, key=key: _value(cell, key))
        _draw_scores(left, ordered, key)
        _draw_curves(right, ordered, key)
        for axes in (left, right):
            draw_references(axes, ordered)
            axes.grid(axis="y")
        left.set_title(task)
        left.set_ylabel(cells.unit())
    panels.draw_legend(figure, handles, footnote, columns)
    return figure


def _value(cell: Cell, key: str) -> float:
    """Return the value of the setting that a sweep varies."""
    return float(cell["settings"][ALIASES.get(key, key)])


def _draw_scores(axes: Axes, cells: Sequence[Cell], key: str) -> None:
    """Draw each selection's mean at every value, equally far apart."""
    for place, cell in enumerate(cells):
        for name, mark in MARKS.items():
            mean = cell["scores"][name]["mean"]
            if mean is not None:
                axes.plot([place + OFFSET[name]], [mean], markersize=4.5, **mark)
        band = curve_interval(cell)
        if band is not None:
            ends = [bound[-1] for bound in band]
            axes.plot([place, place], ends, color=MARKS["last"]["color"], linewidth=1.2)
    axes.set_xlim(-0.5, len(cells) - 0.5)
    axes.set_xticks(range(len(cells)), [f"{_value(cell, key):g}" for cell in cells])
    axes.set_xlabel(NAMES.get(key, key))


def _draw_curves(axes: Axes, cells: Sequence[Cell], key: str) -> None:
    """Draw the learning curve of every value, dark where it is low."""
    colors = matplotlib.colormaps[VALUE_COLORS]
    for place, cell in enumerate(cells):
        color = colors(0.9 * place / max(1, len(cells) - 1))
        steps, scores = curve_table(cell)
        band = curve_interval(cell)
        if band is not None:
            axes.fill_between(steps, *band, color=color, alpha=0.12, linewidth=0)
        axes.plot(
            steps, scores.mean(axis=0), color=color, label=f"{_value(cell, key):g}",
            marker=style.MARKERS[place % len(style.MARKERS)], markersize=3,
        )  # fmt: skip
    axes.set_xlim(left=0)
    panels.label_steps(axes)
    axes.legend(
        title="η" if key == "eta" else key, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
