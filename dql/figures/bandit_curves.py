"""A number of the bandit's summary against the values of one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from dql.figures import style
from dql.figures.bandit_runs import BanditRuns

LINE_STYLES = {"axes": "-", "corners": "--"}
"""Layouts; colours are methods."""


@dataclass(frozen=True)
class Curve:
    """A column of the summary, scaled, for those methods that it says something of."""

    column: str
    title: str
    methods: tuple[str, ...]
    scale: float = 1.0
    top: float | None = None


def draw_curve(
    axes: Axes,
    runs: BanditRuns,
    variants: Mapping[tuple[str, str], Mapping[float, str]],
    values: Sequence[float],
    curve: Curve,
) -> None:
    """Draw a column against a setting, evenly spaced: seeds as points, means as lines.

    `variants` holds, by (layout, method), the method's name at each value; `values` are
    all values, ascending.
    """
    for (layout, base), by_value in variants.items():
        if base not in curve.methods or not by_value:
            continue
        means, positions = [], []
        for value, method in by_value.items():
            numbers = curve.scale * runs.rows(layout, method)[curve.column]
            position = values.index(value)
            axes.scatter(
                [position] * len(numbers), numbers, s=5, alpha=0.5, linewidths=0,
                color=style.method_color(base),
            )  # fmt: skip
            positions.append(position)
            means.append(numbers.mean())
        axes.plot(
            positions,
            means,
            color=style.method_color(base),
            linestyle=LINE_STYLES[layout],
        )
    axes.set_title(curve.title, fontsize=7.5)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set_ylim(0, 104 if curve.scale == 100.0 else curve.top)
    axes.grid(axis="y")
