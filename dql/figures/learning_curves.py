"""Score against gradient steps, one panel per task, one line per method.

Of online continuations, against environment steps: 0 is the finished offline run.

A line is the mean over seeds, its band the bootstrap interval over seeds. Below three
seeds the band is over the episodes of these seeds alone, and each of two seeds is a
thin line of its own. Reference lines: the data's own score and, on remade data, the
paper's Diffusion-QL on D4RL's file. More lines than a reader tells apart are spread
over several panels of the task, each with a legend of its own and the means of the
others in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dql.figures import panels, style
from dql.figures.suite_cells import (
    SuiteCells,
    curve_interval,
    curve_table,
    footnote_lines,
)
from dql.results.statistics import has_enough_seeds
from dql.tables.cells import Cell

BEHAVIOR_LABEL = "behaviour data"
BEHAVIOR_LINE = {"color": style.DATA_COLOR, "linestyle": ":", "linewidth": 1.0}
PAPER_METHOD, PAPER_LABEL = "diffusion_ql", "the paper's Diffusion-QL (D4RL's file)"
PAPER_DASHES = (0, (6, 2, 1, 2))
LONG_TITLE = 26
"""Characters of a title that would not fit above a panel in the usual size."""
ONLINE_NOTE = "At 0: the finished offline run, or new weights where there was none."
MAX_LINES = 9
"""Methods that share one panel at most."""
MAX_LINES_OF_SEVERAL = 6
"""Methods of a panel where a task has several."""


def draw(cells: SuiteCells) -> Figure:
    """Draw every task that has runs."""
    shown = cells.with_runs()
    if not shown:
        return style.message_figure(cells.nothing_to_draw("No run has finished."))
    tasks = list(dict.fromkeys(cell["task"] for cell in shown))
    methods = [name for name in cells.methods if name in {c["method"] for c in shown}]
    if len(methods) > MAX_LINES:
        return _draw_groups(cells, shown, tasks, _groups(methods))
    looks = style.method_looks(cells.methods)
    footnote = footnote_lines([_what_is_drawn(shown), *cells.notes()])
    references = reference_handles(shown)
    labels = [cells.methods[name] for name in methods]
    labels += [line.get_label() for line in references]
    columns = panels.legend_columns(labels)
    figure, all_axes = panels.panel_rows(
        len(tasks),
        max_columns=3,
        height=1.9 if len(tasks) < 4 else 1.45,
        legend_rows=ceil(len(labels) / columns),
        footnote=footnote,
    )
    for axes, task in zip(all_axes, tasks, strict=True):
        _draw_panel(axes, [c for c in cells.of_task(task) if c["curves"]], looks)
    for axes in all_axes[:: min(3, len(tasks))]:
        axes.set_ylabel(cells.unit())
    handles = [_handle(looks[name], cells.methods[name]) for name in methods]
    panels.draw_legend(figure, [*handles, *references], footnote, columns)
    return figure


def _groups(methods: Sequence[str]) -> list[list[str]]:
    """Split the methods into groups of about one size, in their order."""
    count = ceil(len(methods) / MAX_LINES_OF_SEVERAL)
    size, larger = divmod(len(methods), count)
    starts = [index * size + min(index, larger) for index in range(count + 1)]
    return [
        list(methods[start:end]) for start, end in zip(starts, starts[1:], strict=False)
    ]


def _draw_groups(
    cells: SuiteCells, shown: list[Cell], tasks: list[str], groups: list[list[str]]
) -> Figure:
    """Draw a panel per task and group of methods, its legend beside it."""
    grey = "Grey: the means of the other panels' methods."
    footnote = footnote_lines([_what_is_drawn(shown), grey, *cells.notes()])
    figure, all_axes = panels.panel_rows(
        len(tasks) * len(groups),
        max_columns=2,
        height=1.45,
        legend_rows=1,
        footnote=footnote,
        right=0.785,
        wspace=0.85,
    )
    places = [(task, group) for task in tasks for group in groups]
    for axes, (task, group) in zip(all_axes, places, strict=True):
        of_task = [cell for cell in cells.of_task(task) if cell["curves"]]
        chosen = [cell for cell in of_task if cell["method"] in group]
        looks = style.numbered_looks(group)
        _draw_panel(axes, chosen, looks, [c for c in of_task if c not in chosen])
        axes.set_title(task if len(tasks) > 1 else "")
        handles = [
            _handle(looks[name], cells.methods[name].replace(" (", "\n("))
            for name in group
        ]
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    for axes in all_axes[::2]:
        axes.set_ylabel(cells.unit())
    if len(tasks) == 1:
        figure.suptitle(tasks[0], fontsize=8.5)
    panels.draw_legend(figure, reference_handles(shown), footnote, 2)
    return figure


def _draw_panel(
    axes: Axes,
    cells: Sequence[Cell],
    looks: Mapping[str, style.Look],
    behind: Sequence[Cell] = (),
) -> None:
    """Draw cells of one task, before the means of others in grey."""
    for cell in behind:
        steps, scores = curve_table(cell)
        axes.plot(steps, scores.mean(axis=0), color=style.MODE_COLOR, linewidth=0.5)
    for cell in cells:
        _draw_curve(axes, cell, looks[cell["method"]])
    draw_references(axes, [*cells, *behind])
    title = [*cells, *behind][0]["task"]
    axes.set_title(title, fontsize=7.5 if len(title) > LONG_TITLE else None)
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    is_online = bool([*cells, *behind][0].get("online"))
    panels.label_steps(axes, "environment" if is_online else "gradient")


def _what_is_drawn(shown: list[Cell]) -> str:
    """Return what lines and bands are, which depends on the number of seeds."""
    few = [cell for cell in shown if not has_enough_seeds(len(cell["curves"]))]
    over_seeds = "bands: 95 % bootstrap intervals over seeds"
    over_episodes = (
        "bands of one or two seeds, too few for an interval over seeds: 95 % intervals "
        "over episodes of these alone"
    )
    parts = ([over_seeds] if len(few) < len(shown) else []) + (
        [over_episodes] if any(map(curve_interval, few)) else []
    )
    parts += (
        ["thin lines: single seeds"] if any(len(c["curves"]) > 1 for c in few) else []
    )
    lines = f"Lines: means over seeds; {'; '.join(parts)}.".replace("; .", ".")
    if not shown[0].get("online"):
        return lines
    starts = sorted({cell["online"]["start_steps"] for cell in shown})
    first = " or ".join(f"{steps:,}" for steps in starts)
    return f"{lines} {ONLINE_NOTE} No update before step {first}."


def _draw_curve(axes: Axes, cell: Cell, look: style.Look) -> None:
    """Draw one cell's mean, with its band or its seeds."""
    steps, scores = curve_table(cell)
    band = curve_interval(cell)
    if band is not None:
        alpha = 0.18 if has_enough_seeds(len(scores)) else 0.1
        axes.fill_between(steps, *band, color=look.color, alpha=alpha, linewidth=0)
    if len(scores) > 1 and not has_enough_seeds(len(scores)):
        axes.plot(steps, scores.T, color=look.color, linewidth=0.6, alpha=0.6)
    axes.plot(
        steps,
        scores.mean(axis=0),
        color=look.color,
        linestyle=look.linestyle,
        marker=look.marker,
        markevery=max(1, len(steps) // 6),
    )


def draw_references(axes: Axes, cells: Sequence[Cell]) -> None:
    """Draw the data's own score, and the paper's on the D4RL file of that name."""
    score = cells[0]["dataset"].get("behavior_score")
    if score is not None:
        axes.axhline(score, **BEHAVIOR_LINE)
    paper = next(filter(None, map(_papers_score, cells)), None)
    if paper is not None:
        color = style.method_color(PAPER_METHOD)
        axes.axhline(paper, color=color, linestyle=PAPER_DASHES, linewidth=0.9)


def _papers_score(cell: Cell) -> float | None:
    """Return what the paper prints for Diffusion-QL on the cell's namesake."""
    number = (cell.get("namesake") or {}).get("published")
    return number["score"] if number and cell["method"] == PAPER_METHOD else None


def _handle(look: style.Look, label: str) -> Line2D:
    """Return a method's entry of the legend."""
    return Line2D(
        [], [], color=look.color, linestyle=look.linestyle, marker=look.marker,
        label=label,
    )  # fmt: skip


def reference_handles(cells: Sequence[Cell]) -> list[Line2D]:
    """Return the legend's entries of the reference lines that these cells have."""
    handles = [Line2D([], [], **BEHAVIOR_LINE, label=BEHAVIOR_LABEL)]
    if any(map(_papers_score, cells)):
        color = style.method_color(PAPER_METHOD)
        handles.append(
            Line2D([], [], color=color, linestyle=PAPER_DASHES, label=PAPER_LABEL)
        )
    return handles
