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

from dql.environments.views import SideView, is_runner
from dql.errors import UserError
from dql.figures import strips, style
from dql.figures.episode_words import outcome_words
from dql.files import write_bytes
from dql.results.episodes import StoredEpisode

FRAMES_PER_SECOND = 20
MAX_SECONDS = 6.0
"""Of the episodes' beginning: a film is for a page, and pages load it whole."""
WIDTH, ROW_HEIGHT, TITLE_HEIGHT = 4.6, 1.0, 0.22
"""Inches."""
DOTS_PER_INCH = 100
GROUND = 5.0
"""Metres of ground that a row shows."""
LOW, HIGH = -0.15, 1.75
"""Metres of height that it shows."""
TEXT_LEFT = 0.02


def write_film(episodes: Sequence[StoredEpisode], output: Path) -> None:
    """Write the film of one task's recorded episodes, whole or not at all.

    Mazes have no film, and neither have episodes of several tasks: both raise.
    """
    facts = episodes[0].facts
    if not is_runner(facts.environment):
        raise UserError(
            f"{facts.task}: films are of runners, seen from the side; of a maze there "
            f"is a picture: dql figure local_stills_{facts.task}"
        )
    if len({episode.facts.task for episode in episodes}) > 1:
        raise UserError("a film is of one task")
    with style.paper_style(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"
        _write_frames(episodes, SideView(facts.environment, facts.physics), path)
        write_bytes(output, path.read_bytes())


def frame_steps(episode: StoredEpisode, seconds_per_step: float) -> np.ndarray:
    """Return the step that each frame of an episode shows, its last one included."""
    longest = min(MAX_SECONDS, episode.num_steps * seconds_per_step)
    times = np.arange(0.0, longest, 1.0 / FRAMES_PER_SECOND)
    return np.append(np.floor(times / seconds_per_step), longest / seconds_per_step
                     ).astype(int)  # fmt: skip


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
    writer = PillowWriter(fps=FRAMES_PER_SECOND)
    with writer.saving(figure, str(path), DOTS_PER_INCH):
        for frame in range(max(map(len, steps))):
            for axes, episode, shown in zip(rows, episodes, steps, strict=True):
                _draw_row(axes, view, episode, shown[min(frame, len(shown) - 1)])
            writer.grab_frame()


def _draw_row(axes: Axes, view: SideView, episode: StoredEpisode, step: int) -> None:
    """Draw one method's body as it is after a step, in the middle of its row."""
    axes.clear()
    axes.set_xlim(0, GROUND)
    axes.set_ylim(LOW, HIGH)
    axes.set_aspect("equal")
    axes.axis("off")
    position, start = episode.positions[step], episode.positions[0, 0]
    travelled = position[0] - start
    strips.draw_ground(axes, 0.0, GROUND, travelled)
    strips.draw_body(axes, view, position, GROUND / 2 - position[0])
    axes.text(
        TEXT_LEFT, 0.55,
        f"{episode.facts.label}\n{outcome_words(episode.facts)}\n"
        f"{step * view.seconds_per_step:.1f} s, {travelled:.1f} m",
        transform=axes.transAxes, va="center", fontsize=7,
    )  # fmt: skip
