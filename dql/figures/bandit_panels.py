"""The paper's bandit figures: behaviour cloning above, policy improvement below.

`bandit_axes` is the main text's figure (Section 4), `bandit_corners` Appendix A's.
Panels, titles, limits and numbers of points are the paper's; the numbers under each
panel are ours.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.environments import bandit
from dql.figures import scatter, style
from dql.figures.bandit_content import (
    CLONING_METHODS,
    IMPROVEMENT_METHODS,
    FigureContent,
)
from dql.figures.bandit_runs import BanditRuns, spread

TITLES = {
    "bc_mle": "BC-MLE",
    "bc_cvae": "BC-CVAE",
    "bc_mmd": "BC-MMD",
    "bc_diffusion": "BC-Diffusion",
    "td3_bc": "TD3+BC",
    "bcq": "BCQ",
    "bear_mmd": "BEAR-MMD",
    "diffusion_ql": "Diffusion-QL",
}
NUM_CLONING_POINTS = 1000
NUM_IMPROVEMENT_POINTS = 100


def cloning_note(rows: pd.DataFrame) -> list[str]:
    """Return what behaviour cloning is judged by: modes, mass on them, distance."""
    if rows.empty:
        return []
    modes = rows["modes_covered"]
    same = modes.nunique() == 1
    return [
        f"{int(modes.iloc[0]) if same else spread(modes, 1)} of 4 modes",
        f"on modes {spread(rows['share_on_modes'], 1, 100)} %",
        f"distance {spread(rows['distance'], 3)}",
    ]


def improvement_note(rows: pd.DataFrame) -> list[str]:
    """Return what policy improvement is judged by: the best mode and the reward."""
    if rows.empty:
        return []
    return [
        f"best mode {spread(rows['share_best_mode'], 1, 100)} %",
        f"on modes {spread(rows['share_on_modes'], 1, 100)} %",
        f"reward {spread(rows['mean_reward'])}",
    ]


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw the 2 x 5 panels of one layout."""
    layout = content.layouts[0]
    figure, grid = scatter.panel_grid(2, 5)
    _draw_ground_truth(grid[0, 0], layout)
    scatter.draw_rewards(grid[1, 0], layout, NUM_IMPROVEMENT_POINTS)
    scatter.frame_panel(grid[1, 0], "Add Reward")
    best = bandit.REWARD_MEANS.max()
    scatter.write_note(grid[1, 0], ["mean reward of each mode", f"best: {best:g}"])
    for axes, method in zip(grid[0, 1:], CLONING_METHODS, strict=True):
        _draw_method(axes, runs, layout, method, improvement=False)
    for axes, method in zip(grid[1, 1:], IMPROVEMENT_METHODS, strict=True):
        _draw_method(axes, runs, layout, method, improvement=True)
    scatter.write_footnote(figure, runs.sizes(layout))
    return figure


def _draw_ground_truth(axes: Axes, layout: str) -> None:
    """Draw the data and how far apart two samples of its law lie."""
    actions, _ = bandit.sample_data(layout, NUM_CLONING_POINTS, scatter.LAW_SEED)
    scatter.draw_samples(
        axes, actions, color=style.DATA_COLOR, num_points=NUM_CLONING_POINTS
    )
    scatter.draw_modes(axes, layout, mark_best=False)
    scatter.frame_panel(axes, "Ground Truth")
    scatter.write_note(axes, ["the data's four modes,", "circled at 3 std = 0.15"])


def _draw_method(
    axes: Axes, runs: BanditRuns, layout: str, method: str, *, improvement: bool
) -> None:
    """Draw one method's samples with its numbers over seeds."""
    scatter.draw_modes(axes, layout, mark_best=improvement)
    scatter.draw_samples(
        axes,
        runs.samples(layout, method),
        color=style.method_color(method),
        num_points=NUM_IMPROVEMENT_POINTS if improvement else NUM_CLONING_POINTS,
    )
    limit = scatter.WIDE_LIMIT if method == "bc_mle" else scatter.PANEL_LIMIT
    scatter.frame_panel(axes, TITLES[method], limit)
    rows = runs.rows(layout, method)
    scatter.write_note(
        axes, improvement_note(rows) if improvement else cloning_note(rows)
    )
