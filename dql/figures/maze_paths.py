"""Paths through a maze, seen from above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from dql.environments.antmaze import GOAL_RADIUS as ANT_GOAL_RADIUS
from dql.environments.pointmaze import GOAL_RADIUS as POINT_GOAL_RADIUS
from dql.environments.pointmaze import POINT_MAZES
from dql.environments.views import maze_walls
from dql.figures import panels, style
from dql.figures.episode_words import episodes_footnote, outcome_words
from dql.results.episodes import StoredEpisode

MAZE_COLUMNS = 4
WALL_COLOR = "#d9d9d9"
TIME_COLORS = "viridis"


def draw_mazes(episodes: Sequence[StoredEpisode], unseen: Sequence[str] = ()) -> Figure:
    """Draw a panel a method: walls, path, start and goal."""
    maze = episodes[0].facts.environment
    walls = list(maze_walls(maze))
    low = np.min([corner[:2] for corner in walls], axis=0)
    high = np.max([(x + side, y + side) for x, y, side in walls], axis=0)
    columns = min(MAZE_COLUMNS, max(len(episodes), 2))
    panel_width = 0.9 * style.PAGE_WIDTH / columns
    height = panel_width * (high - low)[1] / (high - low)[0]
    footnote = episodes_footnote(
        episodes,
        "Seen from above: dot, the start; ring, the goal; the path goes from dark to "
        "light.",
        unseen,
    )
    figure, all_axes = panels.panel_rows(
        len(episodes), max_columns=MAZE_COLUMNS, height=height, legend_rows=0,
        footnote=footnote, gap=0.35, wspace=0.08,
    )  # fmt: skip
    for axes, episode in zip(all_axes, episodes, strict=True):
        draw_walls(axes, walls)
        if len(episode.positions):
            _draw_path(axes, episode.positions[:, :2])
        if episode.goal is not None:
            draw_goal(axes, maze, episode.goal)
        axes.set_title(
            f"{episode.facts.label}: {outcome_words(episode.facts)}", fontsize=7.5
        )
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
        axes.axis("off")
    return figure


def draw_walls(axes: Axes, walls: Iterable[tuple[float, float, float]]) -> None:
    """Draw a maze's walls."""
    for x, y, side in walls:
        axes.add_patch(Rectangle((x, y), side, side, color=WALL_COLOR, linewidth=0))


def draw_goal(axes: Axes, maze: str, goal: np.ndarray) -> None:
    """Draw the ring within which a maze's goal is reached."""
    radius = POINT_GOAL_RADIUS if maze in POINT_MAZES else ANT_GOAL_RADIUS
    color = style.BEST_MODE_COLOR
    axes.add_patch(Circle(goal, radius, fill=False, color=color, linewidth=1.2))


def _draw_path(axes: Axes, path: np.ndarray) -> None:
    """Draw positions (T, 2) as a line whose colour is the time."""
    pieces = np.stack((path[:-1], path[1:]), axis=1)
    line = LineCollection(pieces, cmap=TIME_COLORS, linewidths=1.0)
    line.set_array(np.linspace(0.0, 1.0, len(pieces)))
    axes.add_collection(line)
    axes.plot(*path[0], marker="o", markersize=4, color="black")
