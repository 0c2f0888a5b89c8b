"""How the reverse chain carries noise to the bandit's modes, step by step.

A row per layout and method: samples a^i at falling noise levels i, then the second half
of the paths of some of them. A sample's colour is the mode that it ends on.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.environments import bandit
from dql.errors import UserError
from dql.figures import panels, scatter, style
from dql.figures.bandit_content import FigureContent
from dql.figures.bandit_panels import TITLES
from dql.figures.bandit_runs import BanditRuns

SHARES_DONE = (0.0, 0.5, 0.8, 0.9, 1.0)
"""Parts of the chain after which the samples are drawn."""

NUM_PATHS = 25
LIMIT = 2.2
MODE_COLORS = ("#0072B2", "#E69F00", "#D55E00", "#009E73")
"""In the order of the modes' rewards in `dql.environments.bandit`: 3, 1.5, 5, 0."""


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw every layout and method that has stored trajectories."""
    rows = {
        (layout, method): states
        for layout in content.layouts
        for method in content.methods
        if (states := runs.trajectories(layout, method)) is not None
    }
    if not rows:
        raise UserError(
            "no run has trajectories.npz; for each task and method: "
            "dql bandit trajectories bandit-axes diffusion_ql"
        )
    columns = len(SHARES_DONE) + 1
    footnote = [
        f"Drawn: seed {runs.plotted_seed()}. Colours: the mode that a sample ends on, "
        "by its mean reward. Circles: three standard deviations around a mode.",
    ]
    panel, gap = 1.08, 0.07
    below = 0.12 + panels.LINE_HEIGHT * len(footnote)
    bottom, top, left = below + 0.3, 0.24, 0.4
    height = bottom + len(rows) * (panel + gap) + top
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    for row, ((layout, method), states) in enumerate(rows.items()):
        lower = bottom + (len(rows) - 1 - row) * (panel + gap)
        for column in range(columns):
            axes = figure.add_axes(
                (
                    (left + column * (panel + gap - 0.04)) / style.PAGE_WIDTH,
                    lower / height,
                    panel / style.PAGE_WIDTH,
                    panel / height,
                )
            )
            title = _draw_column(axes, states, layout, column)
            scatter.frame_panel(axes, title if row == 0 else "", LIMIT)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(f"{TITLES[method]}\n({layout})")
    panels.draw_legend(figure, _handles(), footnote, len(MODE_COLORS) + 1)
    scatter.write_footnote(figure, "\n".join(footnote))
    return figure


def _draw_column(axes: Axes, states: np.ndarray, layout: str, column: int) -> str:
    """Draw samples at a noise level, or in the last column paths; return the title."""
    num_steps = states.shape[1] - 1
    if not len(states):
        axes.text(0, 0, "diverged", ha="center", va="center", color=style.NOTE_COLOR)
    modes = bandit.assign_modes(states[:, -1], layout)
    colors = [_mode_color(mode) for mode in modes]
    if column == len(SHARES_DONE):
        half = num_steps // 2
        for path, color in zip(states[:NUM_PATHS, half:], colors, strict=False):
            axes.plot(*path.T, color=color, linewidth=0.5, alpha=0.7)
            axes.plot(*path[-1], color=color, marker=".", markersize=3)
        title = f"paths, i ≤ {num_steps - half}"
    else:
        done = round(SHARES_DONE[column] * num_steps)
        axes.scatter(*states[:, done].T, s=3.5, alpha=0.7, linewidths=0, color=colors)
        title = f"i = {num_steps - done}"
    scatter.draw_modes(axes, layout, mark_best=False)
    return title


def _mode_color(mode: int) -> str:
    """Return a mode's colour; samples off every mode are grey."""
    return MODE_COLORS[mode] if mode >= 0 else style.MODE_COLOR


def _handles() -> list[Line2D]:
    """Return what the legend names: the modes by their rewards, and none."""
    order = np.argsort(-bandit.REWARD_MEANS)
    names = {mode: f"reward {bandit.REWARD_MEANS[mode]:g}" for mode in order}
    names[-1] = "off every mode"
    return [
        Line2D([], [], linestyle="none", marker="o", markersize=4,
               color=_mode_color(mode), label=name)
        for mode, name in names.items()
    ]  # fmt: skip
