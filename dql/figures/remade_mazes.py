"""Remade AntMaze data: where the ants have been, and how soon they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dql.data.antmaze import EPISODE_ROWS
from dql.data.description import NUM_BINS
from dql.data.maze_comparison import PARTS_OF_CELL, MazeComparison
from dql.environments.antmaze_maps import maze_rows
from dql.figures import style

HEIGHT = 3.0
COLORS = "viridis"


def draw_comparison(comparison: MazeComparison, outputs: Sequence[Path]) -> None:
    """Draw the figure into files; the suffix decides the format."""
    with style.paper_style():
        style.save_figure(draw(comparison), outputs)


def draw(comparison: MazeComparison) -> Figure:
    """Draw two panels: the maze, and the steps to the goals."""
    figure = Figure(figsize=(style.PAGE_WIDTH, HEIGHT))
    grid = figure.add_gridspec(
        1, 2, left=0.03, right=0.985, bottom=0.24, top=0.88, wspace=0.22
    )
    maze, steps = (figure.add_subplot(cell) for cell in grid)
    _draw_visits(maze, comparison)
    _draw_steps(steps, comparison)
    figure.suptitle(f"{comparison.task}: remade, not D4RL's file", y=0.98)
    figure.text(
        0.5,
        0.02,
        f"{comparison.num_transitions:,} transitions, {len(comparison.rewards):,} "
        f"episodes; {len(comparison.arrivals):,} arrive where they walk to\n"
        "left, from above: walls grey, white where no ant has been",
        ha="center",
        color=style.NOTE_COLOR,
    )
    return figure


def _draw_visits(axes: Axes, comparison: MazeComparison) -> None:
    """Draw the share of rows in each part of the maze, walls in grey."""
    is_wall = np.array([list(row) for row in maze_rows(comparison.maze)]) == "#"
    parts = np.ones((PARTS_OF_CELL, PARTS_OF_CELL))
    walls = np.ma.masked_equal(np.kron(is_wall, parts), 0)
    shares = np.ma.masked_equal(comparison.visits / comparison.num_transitions, 0)
    axes.imshow(walls, cmap="Greys", vmin=0, vmax=3)
    drawn = axes.imshow(shares, cmap=COLORS, norm=LogNorm())
    axes.figure.colorbar(drawn, ax=axes, label="share of the rows", shrink=0.9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def _draw_steps(axes: Axes, comparison: MazeComparison) -> None:
    """Draw when the episodes arrive, of those that do."""
    bins = np.linspace(0, EPISODE_ROWS, NUM_BINS + 1)
    axes.hist(comparison.arrivals, bins, color=style.DATA_COLOR)
    axes.set_xlabel("steps to the goal that is walked to")
    axes.set_ylabel("episodes")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
