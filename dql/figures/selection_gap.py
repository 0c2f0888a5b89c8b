"""What choosing the best evaluation gains over the offline rule, and how far by luck.

A row per cell. Above: online minus offline, mean and bootstrap interval over seeds,
a small point per seed. Below: the luck of taking a maximum over noisy means
(`dql/results/selection_gap.py`), with the interval over resampled episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.figures import panels, scatter, style
from dql.figures.suite_cells import SuiteCells, footnote_lines
from dql.tables.cells import Cell

MAX_ROW_HEIGHT = 0.36
MAX_PLOT_HEIGHT = 8.2
CHARACTER_WIDTH = 0.055
"""Inches: rows get narrower where they would not fit a page; a letter of a name."""

GAP_OFFSET = 0.17
"""Rows from a row's middle to its two marks."""

NO_OFFLINE = "no offline choice"
NO_OFFLINE_NOTE = (
    "No offline choice: no behaviour-cloning loss is logged, or it rises before the "
    "rule has an evaluation to keep."
)

GAP_MARK = {"marker": "o", "color": style.METHOD_COLORS["diffusion_ql"]}
LUCK_MARK = {"marker": "D", "color": style.BASELINE_COLOR, "fillstyle": "none"}


def draw(cells: SuiteCells) -> Figure:
    """Draw every cell that has a gap or an estimate of the luck."""
    shown = [cell for cell in cells.with_runs() if _has_numbers(cell)]
    if not shown:
        return style.message_figure(
            cells.nothing_to_draw(
                "No cell has several evaluations of several episodes to choose from."
            )
        )
    footnote = footnote_lines(
        [
            "Gap: mean and 95 % bootstrap interval over seeds (from three seeds on), "
            "small points are seeds. Luck: expected excess of the best evaluation's "
            "mean over its policy's expected score; its interval resamples episodes.",
            *([] if all(map(_has_gap, shown)) else [NO_OFFLINE_NOTE]),
            *cells.notes(),
        ]
    )
    below = 0.12 + panels.LINE_HEIGHT * len(footnote)
    bottom, top = below + 0.62, 0.12
    plot_height = min(MAX_ROW_HEIGHT * len(shown), MAX_PLOT_HEIGHT)
    height = bottom + plot_height + top
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    names = [_name(cells, cell) for cell in shown]
    left = (0.15 + CHARACTER_WIDTH * max(map(len, names))) / style.PAGE_WIDTH
    axes = figure.add_axes((left, bottom / height, 0.985 - left, plot_height / height))
    for row, cell in enumerate(shown):
        gap = cell["selection_gap"]
        _draw_gap(axes, row, gap["online_minus_offline"])
        if gap["luck"]["mean"] is not None:
            _draw_mark(axes, row + GAP_OFFSET, gap["luck"], LUCK_MARK)
    axes.axvline(0.0, color=style.NOTE_COLOR, linewidth=0.8, zorder=0)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(range(len(shown)), names)
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.grid(axis="x")
    axes.set_xlabel(f"difference of {cells.unit()}s")
    scatter.write_footnote(figure, "\n".join(footnote))
    handles = [
        Line2D([], [], label="gap: online minus offline", **GAP_MARK),
        Line2D([], [], label="luck of the maximum", **LUCK_MARK),
    ]
    panels.draw_legend(figure, handles, footnote, len(handles))
    return figure


def _has_numbers(cell: Cell) -> bool:
    """Return whether a cell has a gap or a luck to show."""
    return any(part["mean"] is not None for part in cell["selection_gap"].values())


def _has_gap(cell: Cell) -> bool:
    """Return whether a cell's offline rule chose a checkpoint of every run."""
    return cell["selection_gap"]["online_minus_offline"]["mean"] is not None


def _name(cells: SuiteCells, cell: Cell) -> str:
    """Return a cell's name, without its task where there is only one."""
    if len(cells.tasks) == 1:
        return f"{cell['label']}"
    return f"{cell['task']}, {cell['label']}"


def _draw_gap(axes: Axes, row: int, gap: Mapping[str, Any]) -> None:
    """Draw a cell's gap with its seeds, or say that there is none."""
    height = row - GAP_OFFSET
    if gap["mean"] is None:
        axes.text(
            0.99, height, NO_OFFLINE, ha="right", va="center", fontsize=6.5,
            color=style.NOTE_COLOR, transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        return
    seeds = list(gap["per_seed"].values())
    axes.scatter(
        seeds, [height] * len(seeds), s=7, alpha=0.5, linewidths=0,
        color=GAP_MARK["color"],
    )  # fmt: skip
    _draw_mark(axes, height, gap, GAP_MARK)


def _draw_mark(
    axes: Axes, height: float, numbers: Mapping[str, Any], mark: Mapping[str, Any]
) -> None:
    """Draw a mean and, where there is one, its interval."""
    interval = numbers.get("interval_95")
    if interval:
        axes.plot(interval, [height] * 2, color=mark["color"], linewidth=1.2)
    axes.plot([numbers["mean"]], [height], markersize=5, **mark)
