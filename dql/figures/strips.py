"""Strips of stills: a runner from the side at times evenly spaced over an episode.

Every capsule of its body is a bar, placed by the recorded positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from dql.environments.views import SideView
from dql.figures import panels, scatter, style
from dql.figures.episode_words import episodes_footnote, outcome_words
from dql.results.episodes import StoredEpisode

NUM_STILLS = 9
"""Evenly spaced over an episode, its first and last state among them."""
GHOSTS = {0.12: 0.15, 0.06: 0.3}
"""Seconds before each still at which the body is drawn faintly, and how opaque."""
WITHOUT_GHOSTS = ("halfcheetah",)
"""Runners that leave a still's ground within these seconds."""
STILL_WIDTHS = {"hopper": 1.6, "walker2d": 1.7, "halfcheetah": 2.0}
"""Metres of ground that a still shows."""
HEADROOM = 0.08
"""Metres above the highest head."""
DEPTH = 0.12
"""Metres below the ground line, where seconds and metres stand."""
LABEL_SHARE = 0.135
"""Of the page's width, left of the strips."""
NEAR_COLOR, FAR_COLOR, EDGE_COLOR = "#4d4d4d", "#b3b3b3", "white"
GROUND_COLOR = "#999999"


def draw_strips(
    episodes: Sequence[StoredEpisode], unseen: Sequence[str] = ()
) -> Figure:
    """Draw a strip a method."""
    facts = episodes[0].facts
    view = SideView(facts.environment, facts.physics)
    width = STILL_WIDTHS[facts.environment]
    height = HEADROOM + max(
        highest(view, episode.positions[still_steps(episode)]) for episode in episodes
    )
    ghosts = {} if facts.environment in WITHOUT_GHOSTS else GHOSTS
    footnote = episodes_footnote(episodes, _strip_words(ghosts), unseen)
    strip_width = style.PAGE_WIDTH * (1 - LABEL_SHARE - 0.01)
    strip = strip_width * (height + DEPTH) / (NUM_STILLS * width)
    gap, top = 0.17, 0.06
    bottom = 0.12 + panels.LINE_HEIGHT * len(footnote) + 0.2
    total = top + len(episodes) * strip + (len(episodes) - 1) * gap + bottom
    figure = Figure(figsize=(style.PAGE_WIDTH, total))
    for number, episode in enumerate(episodes):
        lower = total - top - (number + 1) * strip - number * gap
        place = (LABEL_SHARE, lower / total, 1 - LABEL_SHARE - 0.01, strip / total)
        axes = figure.add_axes(place)
        axes.set_xlim(0, NUM_STILLS * width)
        axes.set_ylim(-DEPTH, height)
        _draw_strip(axes, episode, view, ghosts)
    scatter.write_footnote(figure, "\n".join(footnote))
    return figure


def still_steps(episode: StoredEpisode) -> np.ndarray:
    """Return the steps at which an episode is drawn, none for a diverged run."""
    if not len(episode.positions):
        return np.array([], dtype=int)
    return np.linspace(0, episode.num_steps, NUM_STILLS).round().astype(int)


def highest(view: SideView, positions: np.ndarray) -> float:
    """Return how high a body reaches in positions (n, Q), in metres; in none: 1."""
    drawn = map(view.outlines, positions)
    return max((o[:, 1].max() for outlines in drawn for o in outlines), default=1.0)


def _strip_words(ghosts: Mapping[float, float]) -> str:
    """Return what the marks of a strip mean."""
    faint = " and ".join(f"{seconds:g}" for seconds in sorted(ghosts))
    return (
        "Beneath each still: seconds and metres since the start"
        + (f"; faint: the body {faint} s before" if faint else "")
        + ". Marks on the ground are a metre apart."
    )


def _draw_strip(
    axes: Axes, episode: StoredEpisode, view: SideView, ghosts: Mapping[float, float]
) -> None:
    """Draw an episode's stills, each in a window of its own that goes with the body."""
    axes.set_aspect("equal")
    axes.axis("off")
    width = axes.get_xlim()[1] / NUM_STILLS
    for number, step in enumerate(still_steps(episode)):
        start = episode.positions[0, 0]
        middle = (number + 0.5) * width
        travelled = episode.positions[step, 0]
        draw_ground(axes, number * width, width, travelled - start)
        shift = middle - travelled
        for before, alpha in {**ghosts, 0.0: 1.0}.items():
            shown = step - round(before / view.seconds_per_step)
            if shown >= 0:
                draw_body(axes, view, episode.positions[shown], shift, alpha)
        axes.text(
            middle, -DEPTH,
            f"{_short(step * view.seconds_per_step)} s, {_short(travelled - start)} m",
            ha="center", va="top", fontsize=6, color=style.NOTE_COLOR,
        )  # fmt: skip
    facts, seconds = episode.facts, episode.num_steps * view.seconds_per_step
    axes.text(
        -0.015, 0.5, f"{facts.label}\n{outcome_words(facts, seconds)}",
        transform=axes.transAxes, ha="right", va="center", fontsize=7,
    )  # fmt: skip


def _short(value: float) -> str:
    """Return a number with a decimal if it is below ten, zero without a sign."""
    value = round(value, 1) + 0.0
    return f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"


def draw_body(
    axes: Axes, view: SideView, position: np.ndarray, shift: float, alpha: float = 1.0
) -> None:
    """Draw a runner in a generalised position (Q,), moved along the ground."""
    body = body_collection(view.outlines(position), view.is_behind, shift)
    body.set_alpha(alpha)
    axes.add_collection(body, autolim=False)


def draw_ground(axes: Axes, left: float, width: float, travelled: float) -> None:
    """Draw some ground, `travelled` metres from the start at its middle.

    With a mark at each metre of the run.
    """
    axes.plot([left, left + width], [0, 0], color=GROUND_COLOR, linewidth=0.6)
    first = travelled - width / 2
    metres = np.arange(np.ceil(first), first + width)
    places = left + metres - first
    marks = [[(place, 0.0), (place, -0.06)] for place in places]
    axes.add_collection(
        LineCollection(marks, colors=GROUND_COLOR, linewidths=0.6), autolim=False
    )


def body_collection(
    outlines: Sequence[np.ndarray], is_behind: Sequence[bool], shift: float = 0.0
) -> PolyCollection:
    """Return a runner's bars, those behind first, moved along the ground."""
    order = np.argsort([not behind for behind in is_behind], kind="stable")
    colors = [FAR_COLOR if is_behind[i] else NEAR_COLOR for i in order]
    moved = [outlines[i] + (shift, 0.0) for i in order]
    return PolyCollection(
        moved, facecolors=colors, edgecolors=EDGE_COLOR, linewidths=0.3
    )
