"""Remade data beside the D4RL set they are named after: returns, states, the ruler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.data.comparison import KINDS, RULER_SIGMAS, Comparison
from dql.data.description import NUM_BINS
from dql.figures import style

HEIGHT = 2.3
SET_COLORS = (style.DATA_COLOR, style.RELEASED_COLOR)
KIND_MARKERS = {"states": "o", "actions": "s"}
D4RL_COLOR = style.METHOD_COLORS["diffusion_ql"]


def draw_comparison(comparison: Comparison, outputs: Sequence[Path]) -> None:
    """Draw the figure into files; the suffix decides the format."""
    with style.paper_style():
        style.save_figure(draw(comparison), outputs)


def draw(comparison: Comparison) -> Figure:
    """Draw three panels: returns, observations, the ruler."""
    figure = Figure(figsize=(style.PAGE_WIDTH, HEIGHT))
    grid = figure.add_gridspec(
        1, 3, left=0.065, right=0.99, bottom=0.27, top=0.86, wspace=0.28
    )
    returns, states, ruler = (figure.add_subplot(cell) for cell in grid)
    _draw_returns(returns, comparison)
    _draw_states(states, comparison)
    _draw_ruler(ruler, comparison)
    figure.suptitle(f"{comparison.task}: remade, not D4RL's file", y=0.98)
    num_rows = sum(rows.num_transitions for rows in comparison.sets)
    num_episodes = sum(rows.num_episodes for rows in comparison.sets)
    figure.text(
        0.5,
        0.02,
        f"{num_rows:,} transitions, {num_episodes:,} episodes; in orange: what is "
        f"known of D4RL's {comparison.namesake}",
        ha="center",
        color=style.NOTE_COLOR,
    )
    return figure


def _draw_returns(axes: Axes, comparison: Comparison) -> None:
    """Draw each set's returns, and D4RL's mean and standard deviation above them."""
    every = np.concatenate([rows.returns for rows in comparison.sets])
    bins = np.histogram_bin_edges(every, NUM_BINS)
    for rows, color in zip(comparison.sets, SET_COLORS, strict=False):
        axes.hist(rows.returns, bins, color=color, alpha=0.8)
        facts = rows.facts
        height = 1.05 * axes.get_ylim()[1]
        axes.errorbar(
            facts.mean, height, xerr=facts.std, fmt="D", color=D4RL_COLOR, markersize=3
        )
    axes.set_xlabel("return of an episode")
    axes.set_ylabel("episodes")
    axes.grid(axis="y")


def _draw_states(axes: Axes, comparison: Comparison) -> None:
    """Draw each observation's mean and standard deviation on D4RL's own scale."""
    positions = np.arange(len(comparison.shifts))
    axes.axhspan(-1, 1, color=D4RL_COLOR, alpha=0.15, linewidth=0)
    axes.axhline(0, color=D4RL_COLOR, linewidth=0.8)
    axes.errorbar(
        positions,
        comparison.shifts,
        yerr=comparison.spreads,
        fmt="o",
        color=style.DATA_COLOR,
        markersize=3,
        linewidth=0.8,
    )
    axes.set_xlabel("observation (mean, ± standard deviation)")
    axes.set_ylabel("D4RL's standard deviations")


def _draw_ruler(axes: Axes, comparison: Comparison) -> None:
    """Draw the denoising error at each noise level, by set and kind."""
    for rows, color in zip(comparison.sets, SET_COLORS, strict=False):
        for kind in KINDS:
            entries = [
                entry
                for entry in comparison.ruler
                if (entry["set"], entry["kind"]) == (rows.reference, kind)
            ]
            marker, label = KIND_MARKERS[kind], f"{kind}, {rows.reference}"
            errors = [entry["error"] for entry in entries]
            axes.plot(RULER_SIGMAS, errors, marker=marker, color=color, label=label)
            known = [entry["of_d4rl"] for entry in entries]
            if None not in known:
                axes.plot(RULER_SIGMAS, known, marker, color=D4RL_COLOR)
    axes.set_xlabel("noise level sigma")
    axes.set_ylabel("denoising error / sigma")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=5, loc="upper right")
