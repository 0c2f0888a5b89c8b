"""Every figure by name: what it shows, what it is drawn from, and by which module.

Figures of the bandit are drawn from runs; figures of a suite, one for each suite with
cells, from cells. Importing this module costs nothing: the plotting
library is loaded when drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args

from dql.config.schema import SuiteName
from dql.errors import UserError, nearest
from dql.figures.bandit_content import FIGURES, FigureContent
from dql.figures.suite_selection import (
    compared_cells,
    eta_cells,
    expert_cells,
    online_cells,
    other_cells,
    swept_cells,
    varied_cells,
)
from dql.paths import stills_figure


@dataclass(frozen=True)
class SuiteFigure:
    """A kind of figure: the module that draws it, and which of a suite's cells."""

    module: str
    cells: Callable[[Sequence[tuple[str, str]]], list[tuple[str, str]]]


SUITE_FIGURES = {
    "learning_curves": SuiteFigure("learning_curves", compared_cells),
    "loss_against_score": SuiteFigure("loss_against_score", compared_cells),
    "selection_gap": SuiteFigure("selection_gap", compared_cells),
    "performance_profiles": SuiteFigure("performance_profiles", compared_cells),
    "medium_expert": SuiteFigure("learning_curves", expert_cells),
    "other_methods": SuiteFigure("learning_curves", other_cells),
    "sweeps": SuiteFigure("sweeps", swept_cells),
    "online": SuiteFigure("learning_curves", online_cells),
    "noise": SuiteFigure("noise", varied_cells),
}
"""Kinds of figures of a suite; it has those for which it has cells."""

STILLS = "stills"
"""One more kind, a figure a task: what the compared methods' policies do there."""

STILLS_SUITES = ("local", "remade", "gym", "antmaze", "minari")
"""Suites of environments that are drawn from positions: runners and mazes."""

WAYS = "ways"
"""One more kind, for suites with a task of `WAYS_ENDING`: `way_cells`."""

WAYS_ENDING = "-twoways"

ACTION_MODES = "action_modes"
"""One more kind, for suites where a task has enough values of eta: `eta_cells`."""


def figure_content(name: str) -> FigureContent:
    """Return what a figure of the bandit shows; an unknown name raises."""
    if name not in FIGURES:
        names = [*FIGURES, *(suite_figure("local", kind) for kind in SUITE_FIGURES)]
        raise UserError(f"unknown figure {name!r}{nearest(name, names)}")
    return FIGURES[name]


def suite_figure(suite: str, kind: str) -> str:
    """Return the name of a suite's figure of some kind: local_learning_curves."""
    return f"{suite}_{kind}"


def split_suite_figure(name: str) -> tuple[str, str] | None:
    """Return the suite and the kind of a suite's figure, None for any other name."""
    suite, _, kind = name.partition("_")
    suites = set(get_args(SuiteName)) - {"bandit"}
    if kind.startswith(f"{STILLS}_") and suite in STILLS_SUITES:
        return suite, STILLS
    is_kind = kind in (*SUITE_FIGURES, ACTION_MODES, WAYS)
    return (suite, kind) if suite in suites and is_kind else None


def stills_task(name: str) -> str | None:
    """Return the task of a figure of stills by its name, None for any other name."""
    suite, kind = split_suite_figure(name) or ("", "")
    return name.removeprefix(stills_figure(suite, "")) if kind == STILLS else None


def all_figures(cells: Mapping[str, Sequence[tuple[str, str]]]) -> list[str]:
    """Return every figure for which there are cells, given by suite."""
    names = [name for name in FIGURES if figure_cells(name, cells["bandit"])]
    for suite in cells.keys() - {"bandit"}:
        names += suite_figures(suite, cells[suite])
    return sorted(names)


def suite_figures(suite: str, cells: Sequence[tuple[str, str]]) -> list[str]:
    """Return the figures that a suite with these cells has."""
    kinds = [kind for kind, figure in SUITE_FIGURES.items() if figure.cells(cells)]
    kinds += [ACTION_MODES] if eta_cells(cells) else []
    kinds += [WAYS] if way_cells(cells) else []
    names = [suite_figure(suite, kind) for kind in kinds]
    tasks = dict.fromkeys(task for task, _ in compared_cells(cells))
    shown = tasks if suite in STILLS_SUITES else ()
    return names + [stills_figure(suite, task) for task in shown]


def way_cells(cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the cells of tasks with several equally good ways."""
    return [cell for cell in cells if cell[0].endswith(WAYS_ENDING)]


def stills_cells(task: str, cells: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of a suite's cells whose policies are shown on a task."""
    return [cell for cell in compared_cells(cells) if cell[0] == task]


def figure_cells(name: str, cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of the given (task, method) pairs that a figure shows.

    There are none where fewer values of its setting are among them than it needs, and
    none of a task without a method that it cannot do without.
    """
    content = figure_content(name)
    shown = [(task, method) for task, method in cells if content.uses(task, method)]
    if content.required:
        tasks = {task for task, method in shown if method in content.required}
        shown = [cell for cell in shown if cell[0] in tasks]
    counts = Counter((task, method.partition("@")[0]) for task, method in shown)
    return shown if max(counts.values(), default=0) >= content.min_values else []


def draw_figure(
    name: str,
    run_directories: Sequence[Path],
    outputs: Sequence[Path],
) -> None:
    """Draw a figure of the bandit from stored runs; suffixes decide the formats."""
    content = figure_content(name)
    runs = import_module("dql.figures.bandit_runs").BanditRuns.load(
        run_directories, content
    )
    _draw(content.module, outputs, runs, content)


def draw_suite_figure(
    kind: str, cells: Sequence[Path], outputs: Sequence[Path], min_steps: int = 0
) -> None:
    """Draw a suite's figure from its cells; suffixes decide the formats.

    Runs of fewer gradient steps than `min_steps` are titled too short to rank.
    """
    loaded = import_module("dql.figures.suite_cells").SuiteCells.load(cells)
    titles = import_module("dql.tables.suite_titles")
    suite = loaded.cells[0]["suite"]
    title = titles.suite_title(suite, loaded.cells, min_steps)
    _draw(SUITE_FIGURES[kind].module, outputs, loaded, title=title)


def draw_action_modes(
    samples: Sequence[Path], outputs: Sequence[Path], title: str = ""
) -> None:
    """Draw the modes kept as eta grows from action samples; suffixes decide formats."""
    _draw(ACTION_MODES, outputs, samples, title=title)


def draw_ways(
    files: Sequence[Path],
    labels: Mapping[str, str],
    outputs: Sequence[Path],
    title: str = "",
) -> None:
    """Draw the ways that policies keep from what runs stored; suffixes set formats."""
    _draw(WAYS, outputs, files, labels, title=title)


def draw_stills(
    episodes: Sequence[Path],
    outputs: Sequence[Path],
    title: str = "",
    unseen: Sequence[str] = (),
) -> None:
    """Draw what policies do on a task from recorded episodes; suffixes set formats.

    `unseen` are the labels of methods that have a run, and no checkpoint to record one.
    """
    _draw(STILLS, outputs, episodes, unseen, title=title)


def _draw(
    module: str, outputs: Sequence[Path], *arguments: object, title: str = ""
) -> None:
    """Draw with a module of this package, in the one style of all figures."""
    drawing = import_module(f"dql.figures.{module}")
    style = import_module("dql.figures.style")
    with style.paper_style():
        figure = drawing.draw(*arguments)
        if title:
            style.add_title(figure, title)
        style.save_figure(figure, outputs)
