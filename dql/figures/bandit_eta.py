"""What the Q term does on the bandit: eta = 0 is behaviour cloning, eta moves the mass.

One row per layout: BC-Diffusion for reference, then Diffusion-QL by eta, ascending. Of
more values than a page has room for, the extremes and the paper's are drawn;
`bandit_modes` counts modes for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dql.figures import scatter, style
from dql.figures.bandit_content import FigureContent
from dql.figures.bandit_panels import TITLES, improvement_note
from dql.figures.bandit_runs import BanditRuns

NUM_POINTS = 1000
MAX_ETAS = 3


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw the panels of both layouts with the numbers over seeds."""
    layouts = [layout for layout in content.layouts if runs.methods(layout)]
    etas = {
        layout: runs.by_setting(layout, "diffusion_ql", "q_coefficient")
        for layout in layouts
    }
    values = _drawn(
        sorted({eta for layout in layouts for eta in etas[layout]}),
        {eta for by_eta in etas.values() for eta, m in by_eta.items() if "@" not in m},
    )
    sizes = scatter.PanelSizes(panel=1.4, gap=0.3, left=0.5)
    figure, grid = scatter.panel_grid(len(layouts), 1 + len(values), sizes)
    for row, layout in zip(grid, layouts, strict=True):
        methods = ["bc_diffusion", *(etas[layout].get(eta, "") for eta in values)]
        titles = [TITLES["bc_diffusion"]]
        titles += [f"Diffusion-QL, η = {eta:g}" for eta in values]
        for axes, method, title in zip(row, methods, titles, strict=True):
            is_cloning = method == "bc_diffusion"
            scatter.draw_modes(axes, layout, mark_best=not is_cloning)
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


def _drawn(values: Sequence[float], defaults: set[float]) -> list[float]:
    """Return at most `MAX_ETAS` of the ascending values, the default's among them."""
    if len(values) <= MAX_ETAS:
        return list(values)
    spread = np.linspace(0, len(values) - 1, MAX_ETAS).round().astype(int)
    chosen = {values[index] for index in spread}
    for default in defaults - chosen:
        inner = sorted(chosen)[1:-1]
        chosen.discard(min(inner, key=lambda eta: abs(eta - default)))
        chosen.add(default)
    return sorted(chosen)
