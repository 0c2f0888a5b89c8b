"""What policies do: strips of stills from the side, paths through a maze from above.

One recorded episode a method, the median one of its last evaluation. Drawn from the
bodies' positions; no renderer is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dql.environments.views import is_runner
from dql.errors import UserError
from dql.figures.maze_paths import draw_mazes
from dql.figures.strips import draw_strips
from dql.results.episodes import read_episode


def draw(files: Sequence[Path], unseen: Sequence[str] = ()) -> Figure:
    """Draw the recorded episodes of one task; of several tasks, or of none, raises.

    The footnote names the methods that have a run, but none recorded: `unseen`.
    """
    episodes = list(map(read_episode, files))
    tasks = {episode.facts.task for episode in episodes}
    if len(tasks) != 1:
        found = ", ".join(sorted(tasks)) or "none"
        raise UserError(f"stills are of one task; these episodes are of {found}")
    is_seen_from_aside = is_runner(episodes[0].facts.environment)
    return (draw_strips if is_seen_from_aside else draw_mazes)(episodes, unseen)
