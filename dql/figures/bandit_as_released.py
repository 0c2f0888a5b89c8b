"""Two panels of the released toy code beside the algorithms their titles name.

The released `TD3+BC` panel is a Gaussian policy with a likelihood term, and its `BCQ`
panel draws the generative model without perturbation or choice by Q-value.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from dql.errors import UserError
from dql.figures import scatter, style
from dql.figures.bandit_content import RELEASED_METHODS, FigureContent
from dql.figures.bandit_panels import TITLES, improvement_note
from dql.figures.bandit_runs import BanditRuns

NUM_POINTS = 100
COLUMNS = {
    "td3_bc": TITLES["td3_bc"],
    "td3_bc_as_released": "TD3+BC as released",
    "bcq": TITLES["bcq"],
    "bcq_as_released": "BCQ as released",
}


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw a row per layout: each algorithm, then the released panel of its title."""
    released = set(RELEASED_METHODS)
    layouts = [name for name in content.layouts if released & runs.methods(name)]
    if not layouts:
        raise UserError(f"no run of {' or '.join(RELEASED_METHODS)} among those given")
    sizes = scatter.PanelSizes(panel=1.35, gap=0.28, left=0.5)
    figure, grid = scatter.panel_grid(len(layouts), len(COLUMNS), sizes)
    for row, layout in zip(grid, layouts, strict=True):
        for axes, (method, title) in zip(row, COLUMNS.items(), strict=True):
            scatter.draw_modes(axes, layout, mark_best=True)
            scatter.draw_samples(
                axes,
                runs.samples(layout, method),
                color=style.method_color(method),
                num_points=NUM_POINTS,
            )
            scatter.frame_panel(axes, title)
            scatter.write_note(axes, improvement_note(runs.rows(layout, method)))
        row[0].set_ylabel(f"modes: {layout}")
    scatter.write_footnote(figure, runs.sizes(layouts[0]))
    return figure
