"""An animated GIF of what runners do: a row a method, all from the same start.

The camera goes with each body; marks on the ground are a metre apart. A body that has
fallen stays where it is. Made of the same recorded episodes as the stills.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dql.environments.views import SideView, is_maze, is_runner
from dql.errors import UserError
from dql.figures import strips, style
from dql.figures.episode_words import outcome_words
from dql.files import write_bytes
from dql.paths import stills_figure
from dql.results.episodes import StoredEpisode

FRAMES_PER_SECOND = 20
MAX_SECONDS = 6.0
"""Of the episodes' beginning: a film is for a page, and pages load it whole."""
WIDTH, ROW_HEIGHT, TITLE_HEIGHT = 4.6, 1.0, 0.22
"""Inches."""
DOTS_PER_INCH = 100
LOW, HEADROOM = -0.15, 0.08
"""Metres that it shows below the ground, and above the highest head of all."""
TEXT_LEFT = 0.02
ROUNDING = 1e-6
"""Of a step or a frame, far above that of a quotient of seconds."""


def check_filmed(environment: str, task: str, suite: str) -> None:
    """Raise if tasks in an environment have no film, before episodes are asked for."""
    if is_runner(environment):
        return
    picture = f"; of a maze there is a picture: dql figure {stills_figure(suite, task)}"
    raise UserError(
        f"{task}: films are of runners, seen from the side: hopper, walker2d, "
        f"halfcheetah{picture if is_maze(environment) else ''}"
    )


def write_film(episodes: Sequence[StoredEpisode], output: Path) -> None:
    """Write the film of one task's recorded episodes, whole or not at all.

    They are of runners (`check_filmed`); episodes of several tasks raise, and so does
    a task of which every run diverged.
    """
    facts = episodes[0].facts
    if len({episode.facts.task for episode in episodes}) > 1:
        raise UserError("a film is of one task")
    if not any(len(episode.positions) for episode in episodes):
        raise UserError(f"{facts.task}: every run diverged, there is nothing to film")
    with style.paper_style(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"
        _write_frames(episodes, SideView(facts.environment, facts.physics), path)
        write_bytes(output, path.read_bytes())


def frame_steps(episode: StoredEpisode, seconds_per_step: float) -> np.ndarray:
    """Return the step that each frame of an episode shows, its last one included.

    None for a diverged run.
    """
    if not len(episode.positions):
        return np.array([], dtype=int)
    longest = min(MAX_SECONDS, episode.num_steps * seconds_per_step)
    # What is whole but for its rounding must neither lose a step nor gain one.
    num_before_last = int(np.ceil(longest * FRAMES_PER_SECOND - ROUNDING))
    times = np.append(np.arange(num_before_last) / FRAMES_PER_SECOND, longest)
    return np.floor(times / seconds_per_step + ROUNDING).astype(int)


def _write_frames(
    episodes: Sequence[StoredEpisode], view: SideView, path: Path
) -> None:
    height = TITLE_HEIGHT + ROW_HEIGHT * len(episodes)
    figure = Figure(figsize=(WIDTH, height))
    share = ROW_HEIGHT / height
    rows = [
        figure.add_axes((0.0, share * number, 1.0, share))
        for number in reversed(range(len(episodes)))
    ]
    figure.text(
        0.5, 1 - TITLE_HEIGHT / 2 / height, episodes[0].facts.task,
        ha="center", va="center", fontsize=7.5, weight="bold",
    )  # fmt: skip
    steps = [frame_steps(episode, view.seconds_per_step) for episode in episodes]
    limits = LOW, HEADROOM + _highest(view, episodes, steps)
    writer = PillowWriter(fps=FRAMES_PER_SECOND)
    with writer.saving(figure, str(path), DOTS_PER_INCH):
        for frame in range(max(map(len, steps))):
            for axes, episode, shown in zip(rows, episodes, steps, strict=True):
                now = shown[min(frame, len(shown) - 1)] if len(shown) else None
                _draw_row(axes, view, episode, now, limits)
            writer.grab_frame()


def _highest(
    view: SideView, episodes: Sequence[StoredEpisode], steps: Sequence[np.ndarray]
) -> float:
    """Return how high a body reaches in the frames, in metres."""
    shown = zip(episodes, steps, strict=True)
    return max(
        strips.highest(view, episode.positions[chosen]) for episode, chosen in shown
    )


def _draw_row(
    axes: Axes,
    view: SideView,
    episode: StoredEpisode,
    step: int | None,
    limits: tuple[float, float],
) -> None:
    """Draw one method's body as it is after a step, in the middle of its row.

    `limits` are the heights of the row's edges, in metres. Of a diverged run, which
    takes no step, the name alone is written.
    """
    axes.clear()
    ground = (limits[1] - limits[0]) * WIDTH / ROW_HEIGHT
    axes.set_xlim(0, ground)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    axes.axis("off")
    words = f"{episode.facts.label}\n{outcome_words(episode.facts)}"
    if step is not None:
        position, start = episode.positions[step], episode.positions[0, 0]
        travelled = position[0] - start
        strips.draw_ground(axes, 0.0, ground, travelled)
        strips.draw_body(axes, view, position, ground / 2 - position[0])
        words += f"\n{step * view.seconds_per_step:.1f} s, {travelled:.1f} m"
    axes.text(TEXT_LEFT, 0.55, words, transform=axes.transAxes, va="center", fontsize=7)
