"""Performance profiles of a suite's methods, and the probability of improvement.

Left, the share of runs that score above tau, averaged over tasks (Agarwal et al.,
2021). Right, the probability that a run of one method scores above a run of another, on
a task drawn at random: a ranking, which is left out where some cell has too few seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.figures import panels, style
from dql.figures.suite_cells import SuiteCells, footnote_lines
from dql.results.statistics import MIN_SEEDS, has_enough_seeds
from dql.results.suite_statistics import performance_profile, probability_of_improvement

NUM_THRESHOLDS = 201
ROW_HEIGHT = 0.12
"""Inches of a method's name beside the probabilities."""
IMPROVED = "diffusion_ql"
"""The method whose probability of improvement is drawn, where there are runs of it."""

Scores = dict[str, list[np.ndarray]]


def draw(cells: SuiteCells) -> Figure:
    """Draw the methods that have runs of every task that any method has runs of."""
    scores, left_out = _scores(cells)
    if not scores:
        return style.message_figure(
            cells.nothing_to_draw("No method has a finished run of every task.")
        )
    looks = style.method_looks(cells.methods)
    fewest = min(len(runs) for tasks in scores.values() for runs in tasks)
    ranks = has_enough_seeds(fewest)
    footnote = footnote_lines(
        [
            f"Runs of {_tasks_in_words(cells)}, scored by the last evaluation.",
            "Bands and bars: 95 % bootstrap intervals, runs drawn within tasks."
            if ranks
            else "Too few seeds: no intervals, and no probability of improvement.",
            *([f"Not run on every task: {', '.join(left_out)}."] if left_out else []),
            *cells.notes(),
        ]
    )
    columns = panels.legend_columns([cells.methods[name] for name in scores])
    figure, (left, *others) = panels.panel_rows(
        2 if ranks else 1, max_columns=2, height=max(2.0, ROW_HEIGHT * len(scores)),
        legend_rows=ceil(len(scores) / columns), footnote=footnote,
        wspace=0.12 + 0.025 * max(map(len, cells.methods.values())),
    )  # fmt: skip
    _draw_profiles(left, scores, looks, banded=ranks)
    left.set_xlabel(f"{cells.unit()} τ")
    for right in others:
        _draw_improvement(right, scores, cells, looks)
    if not ranks:
        few = f"too few seeds to rank, {fewest} of the {MIN_SEEDS} needed"
        left.set_title(f"{left.get_title()}: {few}")
    handles = [
        Line2D([], [], color=looks[name].color, linestyle=looks[name].linestyle,
               marker=looks[name].marker, label=cells.methods[name])
        for name in scores
    ]  # fmt: skip
    panels.draw_legend(figure, handles, footnote, columns)
    return figure


def _scores(cells: SuiteCells) -> tuple[Scores, list[str]]:
    """Return each method's scores by task, and the labels of incomplete methods."""
    by_cell = {
        (cell["task"], cell["method"]): np.array(
            list(cell["scores"][cell["headline"]]["per_seed"].values())
        )
        for cell in cells.with_runs()
    }
    tasks = list(dict.fromkeys(task for task, _ in by_cell))
    scores, left_out = {}, []
    for method, label in cells.methods.items():
        found = [by_cell[task, method] for task in tasks if (task, method) in by_cell]
        if tasks and len(found) == len(tasks):
            scores[method] = found
        else:
            left_out.append(label)
    return scores, left_out


def _tasks_in_words(cells: SuiteCells) -> str:
    """Return how many tasks have runs, of how many."""
    ran = len({cell["task"] for cell in cells.with_runs()})
    if len(cells.tasks) == 1:
        return "one task"
    which = "all" if ran == len(cells.tasks) else f"{ran} of {len(cells.tasks)}"
    return f"{which} tasks, which count alike"


def _draw_profiles(
    axes: Axes, scores: Scores, looks: dict[str, style.Look], *, banded: bool
) -> None:
    """Draw the share of runs above every threshold in the range of all scores."""
    values = np.concatenate([runs for tasks in scores.values() for runs in tasks])
    pad = 0.05 * (np.ptp(values) or 1.0)
    ends = values.min() - pad, values.max() + pad
    thresholds = np.linspace(*ends, NUM_THRESHOLDS)
    for method, tasks in scores.items():
        look = looks[method]
        profile = performance_profile(tasks, thresholds)
        if banded:
            axes.fill_between(
                thresholds, profile.low, profile.high, color=look.color, alpha=0.18,
                linewidth=0, step="mid",
            )  # fmt: skip
        axes.step(
            thresholds, profile.shares, where="mid", color=look.color,
            linestyle=look.linestyle, marker=look.marker,
            markevery=[int((profile.shares > 0.5).sum())],  # where half are above
        )  # fmt: skip
    axes.set(xlim=ends, ylim=(-0.03, 1.03), ylabel="share of runs above τ")
    axes.set_title("performance profiles")
    axes.grid()


def _draw_improvement(
    axes: Axes,
    scores: Scores,
    cells: SuiteCells,
    looks: dict[str, style.Look],
) -> None:
    """Draw P(method > other) for every other method, a row each."""
    method = IMPROVED if IMPROVED in scores else next(iter(scores))
    others = [name for name in scores if name != method]
    label = cells.methods[method]
    axes.set_title(f"P({label} scores above …)")
    if not others:
        _say_alone(axes, label)
        return
    for row, other in enumerate(others):
        found = probability_of_improvement(scores[method], scores[other])
        look = looks[other]
        axes.plot(found.interval_95, [row, row], color=look.color)
        axes.plot([found.value], [row], color=look.color, marker=look.marker)
    axes.axvline(0.5, color=style.NOTE_COLOR, linewidth=0.8, zorder=0)
    axes.set(xlim=(-0.03, 1.03), ylim=(len(others) - 0.5, -0.5))
    axes.set_yticks(range(len(others)), _labels(cells, others))
    axes.set_xlabel("probability, 0.5: none better")
    axes.grid(axis="x")


def _labels(cells: SuiteCells, methods: Sequence[str]) -> list[str]:
    """Return the methods' names for an axis."""
    return [cells.methods[method] for method in methods]


def _say_alone(axes: Axes, label: str) -> None:
    """Say that there is no other method to compare with."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, f"{label} is the only method\nwith runs of every task",
        ha="center", va="center", color=style.NOTE_COLOR, transform=axes.transAxes,
    )  # fmt: skip
