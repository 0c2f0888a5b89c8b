"""One episode of a finished run's last policy, state by state, in a small file.

Positions are what a body is drawn from. They are kept to a tenth of a millimetre (or
milliradian) as differences between steps: small whole numbers, which pack well.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dql.files import write_bytes
from dql.results.files import UnusableRunError

RESOLUTION = 1e-4
"""In metres and radians: a thousandth of what a drawing shows."""


@dataclass(frozen=True)
class EpisodeFacts:
    """What an episode is of; of a diverged run, which has none, its return is None.

    A score is None where a task has no reference scores.
    """

    task: str
    method: str
    label: str
    seed: int
    environment: str
    physics: str
    gradient_step: int
    episode: int
    num_episodes: int
    episode_return: float | None
    score: float | None
    ended: bool


@dataclass(frozen=True)
class StoredEpisode:
    """An episode's facts and generalised positions (T + 1, Q), the start included.

    Of a diverged run there are no positions, (0, 0). `goal` is the place (2,) that a
    maze's episode is to reach, None elsewhere.
    """

    facts: EpisodeFacts
    positions: np.ndarray
    goal: np.ndarray | None = None

    @property
    def num_steps(self) -> int:
        """Return the number of environment steps."""
        return len(self.positions) - 1


def write_episode(path: Path, episode: StoredEpisode) -> None:
    """Write an episode as one npz file, whole or not at all."""
    whole = np.rint(episode.positions / RESOLUTION).astype(np.int32)
    arrays: dict[str, Any] = {
        "facts": np.frombuffer(json.dumps(asdict(episode.facts)).encode(), np.uint8),
        "differences": np.diff(whole, axis=0, prepend=0 * whole[:1]).T,
    }
    if episode.goal is not None:
        arrays["goal"] = np.asarray(episode.goal, dtype=np.float64)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def read_episode(path: Path) -> StoredEpisode:
    """Read an episode; a file that holds none raises `UnusableRunError`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = EpisodeFacts(**json.loads(file["facts"].tobytes()))
            whole = np.cumsum(file["differences"].T, axis=0)
            goal = file.get("goal")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UnusableRunError(
            f"{path} holds no episode ({error}); remove it and record it again: "
            "dql episode TASK METHOD"
        ) from None
    return StoredEpisode(facts, RESOLUTION * whole, goal)
