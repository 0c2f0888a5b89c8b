"""How the number of denoising steps N shapes the bandit samples (Section 4).

Above, samples of BC-Diffusion and Diffusion-QL for every N, on both layouts; below,
the same runs in numbers, a point per seed and a line through the means.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.errors import UserError
from dql.figures import scatter, style
from dql.figures.bandit_content import DIFFUSION_METHODS, LAYOUT_NAMES, FigureContent
from dql.figures.bandit_curves import LINE_STYLES, Curve, draw_curve
from dql.figures.bandit_panels import TITLES
from dql.figures.bandit_runs import BanditRuns

NUM_POINTS = 1000
CURVES = (
    Curve("share_on_modes", "samples on any mode (%)", DIFFUSION_METHODS, 100.0),
    Curve("share_best_mode", "samples on the best mode (%)", ("diffusion_ql",), 100.0),
    Curve("distance", "distance to the data", ("bc_diffusion",)),
)


def draw(runs: BanditRuns, content: FigureContent) -> Figure:
    """Draw one row of panels per layout and method, then the curves."""
    rows = [(layout, method) for layout in LAYOUT_NAMES for method in content.methods]
    variants = {
        row: runs.by_setting(row[0], row[1], "num_denoising_steps") for row in rows
    }
    variants = {row: found for row, found in variants.items() if len(found) > 1}
    rows = list(variants)
    counts = sorted({steps for row in rows for steps in variants[row]})
    if not rows:
        raise UserError("no runs of bc_diffusion or diffusion_ql with several N")
    panel = min(1.3, style.PAGE_WIDTH / (len(counts) + 0.4))
    right = min(0.995, 0.055 + 1.06 * panel * len(counts) / style.PAGE_WIDTH)
    height = panel * len(rows) + 2.45
    figure = Figure(figsize=(style.PAGE_WIDTH, height))
    top = figure.add_gridspec(
        len(rows), len(counts), left=0.055, right=right, wspace=0.06, hspace=0.08,
        bottom=2.2 / height, top=1.0 - 0.22 / height,
    )  # fmt: skip
    for index, row in enumerate(rows):
        for column, steps in enumerate(counts):
            axes = figure.add_subplot(top[index, column])
            title = f"N = {steps}" if index == 0 else ""
            _draw_panel(axes, runs, row, variants[row].get(steps), title)
            if column == 0:
                axes.set_ylabel(f"{TITLES[row[1]]}\n({row[0]})")
    bottom = figure.add_gridspec(
        1, len(CURVES), left=0.06, right=0.995, wspace=0.28,
        bottom=0.68 / height, top=1.9 / height,
    )  # fmt: skip
    for index, curve in enumerate(CURVES):
        axes = figure.add_subplot(bottom[0, index])
        draw_curve(axes, runs, variants, counts, curve)
        axes.set_xlabel("denoising steps N")
    _draw_legend(figure, height, list(dict.fromkeys(layout for layout, _ in rows)))
    numbers = "Below: a point per seed, lines through the means"
    scatter.write_footnote(figure, runs.sizes(rows[0][0], numbers))
    return figure


def _draw_panel(
    axes: Axes, runs: BanditRuns, row: tuple[str, str], method: str | None, title: str
) -> None:
    """Draw one N's samples without ticks: all panels share the same limits."""
    layout, base = row
    scatter.draw_modes(axes, layout, mark_best=base == "diffusion_ql")
    samples = runs.samples(layout, method) if method else None
    scatter.draw_samples(
        axes, samples, color=style.method_color(base), num_points=NUM_POINTS
    )
    scatter.frame_panel(axes, title)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_legend(figure: Figure, height: float, layouts: Sequence[str]) -> None:
    """Name the colours (methods) and line styles (layouts) once, under the curves."""
    axes = figure.axes[-1]
    handles = [
        axes.plot([], [], color=color, label=TITLES[method])[0]
        for method, color in style.METHOD_COLORS.items()
    ]
    handles += [
        axes.plot(
            [], [], color=style.NOTE_COLOR, linestyle=LINE_STYLES[layout], label=layout
        )[0]
        for layout in layouts
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        bbox_to_anchor=(0.5, 0.19 / height),
    )
