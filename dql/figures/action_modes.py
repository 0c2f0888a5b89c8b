"""How many modes Diffusion-QL keeps in states of a dataset as eta grows.

The counterpart of the bandit's figure: what the policy proposes in a hundred states of
its dataset, counted into modes. Points are seeds, lines their means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.errors import UserError
from dql.figures import panels, style
from dql.figures.suite_cells import footnote_lines
from dql.results.bandit_summary import COVERED_SHARE

PANELS = {
    "num_modes": "modes per state",
    "has_several": "states with several modes (%)",
    "spread": "spread of the actions",
}


def draw(samples: Sequence[Path]) -> Figure:
    """Draw the three numbers against eta, a line per task."""
    table = read_samples(samples)
    etas = sorted(table["q_coefficient"].unique())
    tasks = list(table["task"].unique())
    num_states = table.groupby(["task", "method", "seed"]).size().max()
    footnote = footnote_lines(
        [
            f"Actions drawn in {num_states} states of the dataset, before candidates "
            f"are compared. A mode: at least {COVERED_SHARE:.0%} of the draws, joined "
            "by short steps. "
            "Spread: standard deviation per axis of the action.",
            f"{seed_words(table)}; lines: means.",
        ]
    )
    figure, all_axes = panels.panel_rows(
        len(PANELS), max_columns=3, height=1.5, legend_rows=1, footnote=footnote
    )
    looks = {
        task: {"linestyle": dashes, "marker": marker}
        for task, dashes, marker in zip(
            tasks, cycle(style.DASHES), cycle(style.MARKERS), strict=False
        )
    }
    means = table.groupby(["task", "seed", "q_coefficient"])[list(PANELS)].mean()
    color = style.method_color("diffusion_ql")
    for axes, (column, title) in zip(all_axes, PANELS.items(), strict=True):
        for task, look in looks.items():
            by_seed = means.loc[task][column].unstack("seed").sort_index()
            places = [etas.index(eta) for eta in by_seed.index]
            for seed in by_seed:
                axes.plot(
                    places, by_seed[seed], linestyle="none", marker=look["marker"],
                    markersize=2.5, alpha=0.5, color=color,
                )  # fmt: skip
            axes.plot(
                places, by_seed.mean(axis=1), color=color, linestyle=look["linestyle"]
            )
        axes.set_title(title, fontsize=7.5)
        axes.set_xticks(range(len(etas)), [f"{eta:g}" for eta in etas])
        axes.set_xlabel("weight of the Q term η")
        largest = 100.0 if column == "has_several" else means[column].max()
        axes.set_ylim(0, 1.08 * largest or 1.0)
        axes.grid(axis="y")
    handles = [
        Line2D([], [], color=color, markersize=2.5, label=task, **look)
        for task, look in looks.items()
    ]
    panels.draw_legend(figure, handles, footnote, min(3, len(handles)))
    return figure


def read_samples(samples: Sequence[Path]) -> pd.DataFrame:
    """Read what cells stored; without a policy that gave numbers there is no figure."""
    table = pd.concat([pd.read_csv(path) for path in samples], ignore_index=True)
    if table.empty:
        raise UserError(f"{samples[0]} and the others are empty: every run diverged")
    return table.assign(has_several=100.0 * (table["num_modes"] > 1))


def seed_words(table: pd.DataFrame) -> str:
    """Return which seeds the points are, by place where these differ."""
    places = ["task"] if table["task"].nunique() > 1 else []
    at = table.groupby([*places, "q_coefficient"])["seed"].agg(
        lambda of: tuple(sorted({*of}))
    )
    if at.nunique() == 1:
        return "Points: seeds"
    parts = [
        f"{', '.join(map(str, seeds))} at {', '.join(map(_place_words, found))}"
        for seeds, found in at.groupby(at).groups.items()
    ]
    return f"Points: seeds, not the same everywhere ({'; '.join(parts)})"


def _place_words(place: float | tuple[str, float]) -> str:
    """Return a value of eta in words, or a task and a value."""
    if isinstance(place, tuple):
        return f"{place[0]}, η = {place[1]:g}"
    return f"η = {place:g}"
