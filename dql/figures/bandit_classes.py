"""Generative policies of several classes under one Q term, and the modes they keep.

Above, each class clones the data (eta = 0); below, the Q term moves it. To the right,
how many of the data's four modes the samples cover, a point a seed. BeT clones only.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.figures import scatter, style
from dql.figures.bandit_content import CLASS_METHODS, FigureContent
from dql.figures.bandit_panels import TITLES, cloning_note, improvement_note
from dql.figures.bandit_runs import BanditRuns

CLASS_TITLES = {
    "bet": "BeT",
    "cvae_ql": "CVAE-QL",
    "flow_ql": "Flow-QL",
    "consistency_ql": "Consistency-QL",
    "diffusion_ql": TITLES["diffusion_ql"],
}
CLONES_ONLY = "bet"
NUM_POINTS = 1000


def clone_of(method: str) -> str:
    """Return the method without its Q term."""
    return method if method == CLONES_ONLY else f"{method}@eta=0"


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw the panels of the first layout that has runs."""
    layout = next(layout for layout in content.layouts if runs.methods(layout))
    sizes = scatter.PanelSizes(panel=0.95, gap=0.36, left=0.32, note=0.6)
    figure, grid = scatter.panel_grid(2, len(CLASS_METHODS) + 1, sizes)
    rows = {
        "without the Q term": [clone_of(method) for method in CLASS_METHODS],
        "with it": ["" if m == CLONES_ONLY else m for m in CLASS_METHODS],
    }
    for axes, (title, methods) in zip(grid, rows.items(), strict=True):
        is_guided = title == "with it"
        for panel, method in zip(axes, methods, strict=False):
            _draw_panel(panel, runs, layout, method, is_guided=is_guided)
        axes[0].set_ylabel(title)
        _draw_modes_kept(axes[-1], runs, layout, methods)
    for panel, method in zip(grid[0], CLASS_METHODS, strict=False):
        panel.set_title(CLASS_TITLES[method])
    grid[0, -1].set_title("modes covered")
    scatter.write_footnote(figure, runs.sizes(layout))
    return figure


def _draw_panel(
    axes: Axes, runs: BanditRuns, layout: str, method: str, *, is_guided: bool
) -> None:
    """Draw one class's samples with its numbers over seeds."""
    scatter.frame_panel(axes)
    if not method:
        axes.text(0, 0, "no Q term", ha="center", va="center", color=style.NOTE_COLOR)
        return
    scatter.draw_modes(axes, layout, mark_best=is_guided)
    scatter.draw_samples(
        axes,
        runs.samples(layout, method),
        color=style.method_color(method),
        num_points=NUM_POINTS,
    )
    rows = runs.rows(layout, method)
    scatter.write_note(
        axes, improvement_note(rows) if is_guided else cloning_note(rows)
    )


def _draw_modes_kept(
    axes: Axes, runs: BanditRuns, layout: str, methods: Sequence[str]
) -> None:
    """Draw the number of modes covered by class, a point a seed, lines at the means."""
    for place, method in enumerate(methods):
        rows = runs.rows(layout, method)
        if rows.empty:
            continue
        color, modes = style.method_color(method), rows["modes_covered"]
        axes.plot([place] * len(modes), modes, "o", markersize=2.5, color=color)
        axes.hlines(modes.mean(), place - 0.3, place + 0.3, color=color)
    axes.set(xlim=(-0.6, len(methods) - 0.4), ylim=(-0.2, 4.3), yticks=range(5))
    labels = [CLASS_TITLES[method] for method in CLASS_METHODS]
    axes.set_xticks(range(len(labels)), labels, rotation=50, ha="right", fontsize=5)
    axes.grid(axis="y")
