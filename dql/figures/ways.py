"""How many of two equally good ways policies keep, and whether the score pays for it.

Diffusion-QL along eta, beside it its clone and the other methods. Filled marks are what
the policy proposes, one candidate; open ones the policy as its run was evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.errors import UserError
from dql.figures import panels, style
from dql.figures.suite_cells import footnote_lines
from dql.results.ways import read_ways, summarize_ways

PANELS = {
    "ways_per_start": "ways kept from one start",
    "ways": "ways kept over all starts",
    "score": "score",
}
GUIDED = "diffusion_ql"
CANDIDATES_OFFSET = 0.12
"""How far one candidate's marks stand to the left, the others' to the right."""
ONE_DASHES, CHOSEN_DASHES = style.DASHES[:2]


def draw(files: Sequence[Path], labels: dict[str, str]) -> Figure:
    """Draw three panels over the methods, whose labels are given by name."""
    table = read_ways(files)
    if table.empty:
        raise UserError(f"{files[0]} and the others are empty: every run diverged")
    runs = summarize_ways(table)
    methods = _ordered(runs)
    footnote = footnote_lines(
        [
            f"Two ways lead to the goal, of equal length from the middle of the start; "
            "half of the data take each. "
            f"{runs['num_episodes'].max()} episodes a run, from "
            f"{runs['num_starts'].max()} starts. Ways: 2 to the entropy of the ways "
            "taken; 1: always the same, 2: half of the episodes by each. Points: "
            f"{runs['seed'].nunique()} seeds; lines: means.",
        ]
    )
    figure, all_axes = panels.panel_rows(
        len(PANELS), max_columns=3, height=1.7, legend_rows=2, footnote=footnote
    )
    ticks = [_tick(runs, method, labels) for method in methods]
    for axes, (column, title) in zip(all_axes, PANELS.items(), strict=True):
        for is_one in (True, False):
            _draw_marks(axes, runs, methods, column, is_one=is_one)
        axes.set_title(title, fontsize=7.5)
        axes.set_xticks(range(len(methods)), ticks, rotation=45, ha="right", fontsize=6)
        low = 0.0 if column == "score" else 0.9
        axes.set_ylim(low, 110.0 if column == "score" else 2.1)
        axes.grid(axis="y")
    handles = [
        Line2D([], [], linestyle=dashes, marker="o", markersize=3.5, color=_COLOR,
               markerfacecolor=face, label=label)
        for dashes, face, label in (
            (ONE_DASHES, _COLOR, "one candidate: what the policy proposes"),
            (CHOSEN_DASHES, "white", "as evaluated: the critic chooses"))
    ]  # fmt: skip
    panels.draw_legend(figure, handles, footnote, len(handles))
    return figure


_COLOR = style.LINE_COLORS[GUIDED]


def _ordered(runs: pd.DataFrame) -> list[str]:
    """Return the methods: the clone, Diffusion-QL along eta, then the others."""
    weights = runs.drop_duplicates("method").set_index("method")["q_coefficient"]
    names = list(weights.index)
    guided = sorted(
        (name for name in names if name.partition("@")[0] == GUIDED), key=weights.get
    )
    clones = [name for name in names if name == "bc_diffusion"]
    return clones + guided + [n for n in names if n not in {*clones, *guided}]


def _tick(runs: pd.DataFrame, method: str, labels: dict[str, str]) -> str:
    """Return what stands below a method's marks."""
    if method.partition("@")[0] != GUIDED:
        return labels.get(method, method)
    weight = runs.loc[runs["method"] == method, "q_coefficient"].iloc[0]
    return f"η = {weight:g}"


def _draw_marks(
    axes: Axes, runs: pd.DataFrame, methods: Sequence[str], column: str, *, is_one: bool
) -> None:
    """Draw the seeds of every method, and a line through Diffusion-QL's means."""
    chosen = runs[(runs["num_candidates"] == 1) == is_one]
    shift = -CANDIDATES_OFFSET if is_one else CANDIDATES_OFFSET
    means = []
    for place, method in enumerate(methods):
        values = chosen.loc[chosen["method"] == method, column].dropna()
        base = method.partition("@")[0]
        color = style.LINE_COLORS.get(base, style.SPARE_COLORS[0])
        axes.plot(
            [place + shift] * len(values), values, linestyle="none", marker="o",
            markersize=3.5, color=color, markerfacecolor=color if is_one else "white",
        )  # fmt: skip
        if base == GUIDED and len(values):
            means.append((place + shift, values.mean()))
    if means:
        dashes = ONE_DASHES if is_one else CHOSEN_DASHES
        axes.plot(*zip(*means, strict=True), color=_COLOR, linestyle=dashes, zorder=1)
