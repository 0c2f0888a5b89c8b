"""Panels of equal size in rows across the page, with room for legend and footnote."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dql.figures import scatter, style

LINE_HEIGHT = 0.13
"""Inches of a line of footnote."""
COLUMN_SPACING = 1.4
HANDLE_LENGTH = 2.4
"""Of legends, in units of their font size."""
LEGEND_WIDTH = 0.98
"""At most, in shares of the page: letters are drawn a little wider than measured."""


def panel_rows(
    num_panels: int,
    *,
    max_columns: int,
    height: float,
    legend_rows: int,
    footnote: Sequence[str],
    gap: float = 0.55,
    top: float = 0.25,
    wspace: float = 0.27,
    right: float = 0.985,
) -> tuple[Figure, list[Axes]]:
    """Return a page-wide figure and its panels, row by row, the footnote written.

    `height`, of a panel, `gap`, between rows, and `top`, above them, are in inches, the
    `right` edge in shares of the width. One panel alone takes the columns of two.
    """
    columns = min(max_columns, max(num_panels, 2))
    rows = ceil(num_panels / columns)
    below = 0.12 + LINE_HEIGHT * len(footnote)
    bottom = below + 0.17 * legend_rows + 0.42
    total = bottom + rows * height + (rows - 1) * gap + top
    figure = Figure(figsize=(style.PAGE_WIDTH, total))
    grid = figure.add_gridspec(
        rows, columns, left=0.07, right=right, wspace=wspace, hspace=gap / height,
        bottom=bottom / total, top=1.0 - top / total,
    )  # fmt: skip
    if num_panels == 1:
        axes = [figure.add_subplot(grid[0, :])]
    else:
        places = [divmod(index, columns) for index in range(num_panels)]
        axes = [figure.add_subplot(grid[place]) for place in places]
    scatter.write_footnote(figure, "\n".join(footnote))
    return figure, axes


def draw_legend(
    figure: Figure, handles: Sequence[Line2D], footnote: Sequence[str], columns: int
) -> None:
    """Name the marks once, above the footnote."""
    below = 0.12 + LINE_HEIGHT * len(footnote)
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=columns,
        columnspacing=COLUMN_SPACING,
        handlelength=HANDLE_LENGTH,
        bbox_to_anchor=(0.5, below / figure.get_figheight()),
    )


def legend_columns(labels: Sequence[str], at_most: int = 5) -> int:
    """Return how many columns of a legend fit on the page, at least one."""
    size = FontProperties(size=rcParams["legend.fontsize"])
    em = size.get_size_in_points()
    beside = em * (HANDLE_LENGTH + rcParams["legend.handletextpad"])
    widths = [beside + TextPath((0, 0), text, prop=size).get_extents().width
              for text in labels]  # fmt: skip
    for columns in range(min(at_most, len(labels)), 1, -1):
        # As Matplotlib fills them: evenly, the first ones by one entry more.
        filled = np.array_split(widths, columns)
        needed = sum(column.max() for column in filled)
        needed += em * (COLUMN_SPACING * (columns - 1) + 1)
        if needed <= LEGEND_WIDTH * 72 * style.PAGE_WIDTH:
            return columns
    return 1


def label_steps(axes: Axes, kind: str = "gradient") -> None:
    """Write gradient steps, or another kind of steps, on the x axis in thousands."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:g}"))
    axes.set_xlabel(f"{kind} steps (thousands)")
