"""How many of the data's modes Diffusion-QL keeps as eta, the Q term's weight, grows.

With eta = 0 the policy is behaviour cloning and keeps all four; the Q term moves the
samples to the best mode. A point per seed, lines through the means. N is 5, the paper's
on D4RL, where a curve costs a tenth of what N = 50 costs.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.errors import UserError
from dql.figures import panels, style
from dql.figures.bandit_content import FigureContent
from dql.figures.bandit_curves import LINE_STYLES, Curve, draw_curve
from dql.figures.bandit_panels import TITLES
from dql.figures.bandit_runs import BanditRuns
from dql.results.bandit_summary import COVERED_SHARE

METHOD = "diffusion_ql"
CURVES = (
    Curve("modes_covered", "modes covered (of 4)", (METHOD,), top=4.25),
    Curve("share_on_modes", "samples on any mode (%)", (METHOD,), 100.0),
    Curve("share_best_mode", "samples on the best mode (%)", (METHOD,), 100.0),
)


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw the three numbers against eta; fewer than three values are no curve."""
    layouts = [layout for layout in content.layouts if runs.methods(layout)]
    etas = {
        (layout, METHOD): runs.by_setting(layout, METHOD, "q_coefficient")
        for layout in layouts
    }
    values = sorted({eta for by_eta in etas.values() for eta in by_eta})
    if len(values) < content.min_values:
        raise UserError(
            f"there are runs of {METHOD}@{content.common} with eta = "
            f"{', '.join(f'{eta:g}' for eta in values)}; a curve needs at least "
            f"{content.min_values} values. Name more in workflow/config/scales, such "
            f"as {METHOD}@{content.common},eta=1"
        )
    footnote = [
        runs.sizes(layouts[0], "Points: seeds; lines: means").partition(". ")[2],
        f"A mode is covered with at least {COVERED_SHARE:.0%} of the samples.",
    ]
    figure, all_axes = panels.panel_rows(
        len(CURVES), max_columns=3, height=1.5, legend_rows=1, footnote=footnote
    )
    for axes, curve in zip(all_axes, CURVES, strict=True):
        draw_curve(axes, runs, etas, values, curve)
        axes.set_xlabel(
            f"weight of the Q term η, at {content.common.replace('=', ' = ')}"
        )
    handles = [
        Line2D(
            [], [], color=style.method_color(METHOD), linestyle=LINE_STYLES[layout],
            label=f"{TITLES[METHOD]}, modes: {layout}",
        )
        for layout in layouts
    ]  # fmt: skip
    panels.draw_legend(figure, handles, footnote, len(handles))
    return figure
