"""One bandit panel: samples over the modes they should, or should not, lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from dql.environments import bandit
from dql.figures import style

PANEL_LIMIT = 1.1
WIDE_LIMIT = 2.5
"""BC-MLE's Gaussian is not bounded by the action box, so its panel is wider."""

LAW_SEED = 1
"""Draws the ground-truth panels; no run's seed."""


def draw_modes(axes: Axes, layout: str, *, mark_best: bool) -> None:
    """Outline every mode at three standard deviations, the best one in green."""
    for mode, center in enumerate(bandit.LAYOUTS[layout]):
        best = mark_best and mode == bandit.BEST_MODE
        color = style.BEST_MODE_COLOR if best else style.MODE_COLOR
        circle = Circle(
            center,
            3 * bandit.MODE_STD,
            fill=False,
            edgecolor=color,
            linewidth=1.1 if best else 0.6,
            zorder=3,
        )
        axes.add_patch(circle)


def frame_panel(axes: Axes, title: str = "", limit: float = PANEL_LIMIT) -> None:
    """Make a panel square and symmetric, with three ticks on each side."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    tick = float(np.floor(limit))
    axes.set_xticks([-tick, 0, tick])
    axes.set_yticks([-tick, 0, tick])
    axes.set_title(title)


def draw_samples(
    axes: Axes, actions: np.ndarray | None, *, color: str, num_points: int
) -> None:
    """Scatter the first points of a run, or say that there is no run."""
    if actions is None:
        axes.text(0, 0, "not run", ha="center", va="center", color=style.NOTE_COLOR)
        return
    size, alpha = (2.5, 0.45) if num_points > 300 else (6.0, 0.7)
    axes.scatter(
        *actions[:num_points].T, s=size, alpha=alpha, color=color, linewidths=0
    )


def draw_rewards(axes: Axes, layout: str, num_points: int) -> None:
    """Scatter the data with every mode labelled by its mean reward."""
    actions, _ = bandit.sample_data(layout, num_points, LAW_SEED)
    modes = bandit.assign_modes(actions, layout)
    centers = bandit.LAYOUTS[layout]
    for mode, mean in enumerate(bandit.REWARD_MEANS):
        best = mode == bandit.BEST_MODE
        color = style.BEST_MODE_COLOR if best else style.DATA_COLOR
        axes.scatter(
            *actions[modes == mode].T, s=6, alpha=0.7, color=color, linewidths=0
        )
        x, y = 0.55 * centers[mode]
        weight = "bold" if best else "normal"
        axes.text(
            x, y, f"{mean:g}", ha="center", va="center", color=color, weight=weight
        )


def write_note(axes: Axes, lines: Sequence[str]) -> None:
    """Write the numbers over seeds under a panel and its tick labels."""
    axes.annotate(
        "\n".join(lines),
        xy=(0.5, 0.0),
        xycoords="axes fraction",
        xytext=(0, -14),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=6.5,
        linespacing=1.3,
        color=style.NOTE_COLOR,
    )


def write_footnote(figure: Figure, text: str) -> None:
    """Write what the reader must know to judge the figure, along its lower edge."""
    figure.text(
        0.5,
        0.06 / figure.get_figheight(),
        text,
        ha="center",
        va="bottom",
        fontsize=6.5,
        color=style.NOTE_COLOR,
    )


@dataclass(frozen=True)
class PanelSizes:
    """Inches of a grid of square panels, each with a title, ticks and a note."""

    panel: float = 1.168
    gap: float = 0.24
    left: float = 0.25
    right: float = 0.05
    title: float = 0.22
    note: float = 0.66
    footnote: float = 0.22


def panel_grid(
    num_rows: int, num_columns: int, sizes: PanelSizes | None = None
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its (rows, columns) axes, all panels of equal size."""
    sizes = sizes or PanelSizes()
    step = sizes.panel + sizes.gap
    width = sizes.left + num_columns * step - sizes.gap + sizes.right
    row_height = sizes.title + sizes.panel + sizes.note
    height = num_rows * row_height + sizes.footnote
    figure = Figure(figsize=(width, height))
    grid = np.empty((num_rows, num_columns), dtype=object)
    for row, column in np.ndindex(num_rows, num_columns):
        bottom = sizes.footnote + (num_rows - 1 - row) * row_height + sizes.note
        left = sizes.left + column * step
        grid[row, column] = figure.add_axes(
            (left / width, bottom / height, sizes.panel / width, sizes.panel / height)
        )
    return figure, grid
