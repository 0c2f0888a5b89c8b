"""A dataset at a glance: returns, episode lengths, ranges of the actions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.data.description import NUM_BINS, Description
from dql.figures import style

HEIGHT = 2.1
FOOTNOTES = {
    "local": "made by this workflow, not D4RL's",
    "remade": "remade from published clones, not D4RL's file",
    "d4rl": "D4RL",
    "bandit": "drawn by every run",
    "file": "a file of the user's own",
    "minari": "published by Minari, not D4RL's",
}


def draw_dataset(described: Description, outputs: Sequence[Path]) -> None:
    """Draw the figure into files; the suffix decides the format."""
    with style.paper_style():
        style.save_figure(draw(described), outputs)


def draw(described: Description) -> Figure:
    """Draw three panels: returns, episode lengths, actions."""
    figure = Figure(figsize=(style.PAGE_WIDTH, HEIGHT))
    grid = figure.add_gridspec(
        1, 3, left=0.065, right=0.99, bottom=0.28, top=0.79, wspace=0.28
    )
    returns, lengths, actions = (figure.add_subplot(cell) for cell in grid)
    _draw_histogram(returns, described.returns, "return of an episode")
    _mark_references(returns, described)
    _draw_histogram(lengths, described.lengths, "steps of an episode")
    _draw_actions(actions, described)
    manifest = described.manifest
    source = FOOTNOTES.get(manifest["source"], manifest["source"])
    figure.text(
        0.5,
        0.02,
        f"{manifest['task']}: {described.lengths.sum():,} transitions, "
        f"{len(described.lengths):,} episodes ({source})",
        ha="center",
        color=style.NOTE_COLOR,
    )
    return figure


def _draw_histogram(axes: Axes, values: np.ndarray, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_ylabel("episodes")
    if not len(values):
        axes.text(0.5, 0.5, "every episode was cut", ha="center", va="center",
                  transform=axes.transAxes)  # fmt: skip
        return
    axes.hist(values, NUM_BINS, color=style.DATA_COLOR)
    axes.grid(axis="y")


def _mark_references(axes: Axes, described: Description) -> None:
    """Show the scale of normalised scores above the returns, if there is one."""
    zero_and_one = described.normalized(np.array([0.0, 1.0]))
    if zero_and_one is None or not len(described.returns):
        return
    offset, slope = zero_and_one[0], zero_and_one[1] - zero_and_one[0]
    upper = axes.secondary_xaxis(
        "top",
        functions=(
            lambda values: offset + slope * values,
            lambda values: (values - offset) / slope,
        ),
    )
    upper.set_xlabel("normalised score")


def _draw_actions(axes: Axes, described: Description) -> None:
    """Draw each action's whole range, its middle half and its median."""
    low, first, median, third, high = described.action_quantiles
    positions = np.arange(len(median))
    axes.vlines(positions, low, high, color=style.DATA_COLOR, linewidth=0.8)
    axes.vlines(positions, first, third, color=style.BASELINE_COLOR, linewidth=4)
    axes.plot(positions, median, "_", color="white", markersize=5)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlim(-0.6, len(median) - 0.4)
    axes.set_xlabel("action (line: range, bar: middle half)")
    if len(median) <= 10:
        axes.set_xticks(positions)
    axes.grid(axis="y")
