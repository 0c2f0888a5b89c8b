"""Write Minari datasets episode by episode, checking every row on its way.

Episodes stream through: memory does not grow with the dataset. The summary that comes
back (digest of the training rows, counts, returns) goes into the manifest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dql import paths
from dql.data.datasets import ARRAYS, DATA_FILE, combined_digest, transition_blocks
from dql.data.episode_checks import check_episode
from dql.errors import UserError
from dql.files import locked, new_folder
from dql.results.manifests import check_reference_scores, write_manifest

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

DIMENSIONS = {
    "hopper": (11, 3),
    "halfcheetah": (17, 6),
    "walker2d": (17, 6),
    "antmaze": (29, 8),
    "pen": (45, 24),
    "kitchen": (60, 9),
    "pointmaze": (4, 2),
}
"""Observation and action dimension of each environment family, as D4RL recorded it."""


@dataclass(frozen=True)
class Episode:
    """One episode: T + 1 observations, T actions, rewards and flags."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    is_cut: bool = False
    """The recording stopped here, not the episode; its return is not counted."""


@dataclass
class Tally:
    """What is counted, and checked, while episodes stream by."""

    name: str
    dimensions: tuple[int, int]
    num_rows: int = 0
    num_cut: int = 0
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def passing(self, episodes: Iterable[Episode]) -> Iterator[Episode]:
        """Yield the episodes unchanged; a bad row raises, named."""
        for episode in episodes:
            check_episode(episode, self.name, self.dimensions, self.num_rows)
            self.num_rows += len(episode.rewards)
            self.num_cut += episode.is_cut
            self.lengths.append(len(episode.rewards))
            if not episode.is_cut:
                self.returns.append(float(episode.rewards.sum(dtype=np.float64)))
            yield episode
        if not self.num_rows:
            raise UserError(f"{self.name} has no transitions")

    def statistics(self) -> dict[str, Any]:
        """Return counts and the distribution of the returns of complete episodes."""
        returns = np.array(self.returns or [np.nan])
        values = {
            "mean": returns.mean(),
            "std": returns.std(),
            "min": returns.min(),
            "max": returns.max(),
        }
        return {
            "num_transitions": self.num_rows,
            "num_episodes": len(self.lengths),
            "num_cut_episodes": self.num_cut,
            "episode_return": {
                name: float(value) if self.returns else None
                for name, value in values.items()
            },
            "episode_length": {
                "mean": float(np.mean(self.lengths)),
                "min": int(min(self.lengths)),
                "max": int(max(self.lengths)),
            },
        }


def counted(
    episodes: Iterable[Episode], progress: Callable[[int], None]
) -> Iterator[Episode]:
    """Pass episodes on, telling a progress bar of each one's transitions."""
    for episode in episodes:
        progress(len(episode.rewards))
        yield episode


def write_dataset(
    task: str,
    episodes: Iterable[Episode],
    *,
    root: Path,
    dimensions: tuple[int, int],
    description: dict[str, Any],
    environment_spec: EnvSpec | None = None,
) -> dict[str, Any]:
    """Write a task's episodes as a Minari dataset and its manifest; return the latter.

    `description` holds what only the caller knows: source, licence, reference scores.
    Data that cannot be trained on raise, and nothing is left of them.
    """
    check_reference_scores(description.get("reference_scores"), f"task '{task}'")
    folder = root / paths.minari_id(task)
    tally = Tally(task, dimensions)
    with locked(folder):
        with new_folder(folder) as temporary:
            write_minari(
                temporary / "data",
                paths.minari_id(task),
                tally.passing(episodes),
                dimensions=dimensions,
                environment_spec=environment_spec,
                metadata=_minari_metadata(description),
            )
            num_training_rows, found = stream_digest(temporary / DATA_FILE)
            if not num_training_rows:
                raise UserError(
                    f"{task}: none of the {tally.num_rows} rows can be trained on: "
                    "truncated ones and the last of all have no successor"
                )
        manifest = {
            "task": task,
            "source": description["source"],
            "digest": found,
            **tally.statistics(),
            "num_training_transitions": num_training_rows,
            **description,
        }
        write_manifest(manifest, root)
    return manifest


def write_minari(
    folder: Path,
    dataset_id: str,
    episodes: Iterable[Episode],
    *,
    dimensions: tuple[int, int],
    environment_spec: EnvSpec | None,
    metadata: dict[str, Any],
) -> None:
    """Stream episodes into the `data` folder of a Minari dataset, in float32."""
    import gymnasium
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    def buffers() -> Iterator[EpisodeBuffer]:
        for episode in episodes:
            yield EpisodeBuffer(
                options={"is_cut": True} if episode.is_cut else None,
                observations=episode.observations.astype(np.float32),
                actions=episode.actions.astype(np.float32),
                rewards=episode.rewards.astype(np.float32),
                terminations=episode.terminations.astype(bool),
                truncations=episode.truncations.astype(bool),
            )

    # Minari miscounts a dataset's size under a relative path.
    storage = MinariStorage.new(
        folder.absolute(),
        observation_space=gymnasium.spaces.Box(-np.inf, np.inf, dimensions[:1]),
        action_space=gymnasium.spaces.Box(-1.0, 1.0, dimensions[1:]),
        env_spec=environment_spec,
    )
    version = importlib.metadata.version("minari")
    identity = {"dataset_id": dataset_id, "minari_version": version}
    storage.update_metadata({**identity, **metadata})
    storage.update_episodes(buffers())


def _minari_metadata(description: dict[str, Any]) -> dict[str, Any]:
    """Translate a manifest's description into Minari's own keys."""
    scores = description.get("reference_scores") or {}
    metadata = {
        "algorithm_name": description.get("algorithm_name"),
        "description": description.get("description"),
        "ref_min_score": scores.get("min"),
        "ref_max_score": scores.get("max"),
    }
    return {key: value for key, value in metadata.items() if value is not None}


def stream_digest(path: Path) -> tuple[int, str]:
    """Return the number of training rows and their digest without holding them."""
    hashes = [hashlib.sha256() for _ in ARRAYS]
    num_rows, widths = 0, (0, 0)
    for block in transition_blocks(path):
        num_rows += len(block[0])
        widths = block[0].shape[1], block[1].shape[1]
        for hasher, array in zip(hashes, block, strict=True):
            hasher.update(np.ascontiguousarray(array, dtype="<f4").data)
    return num_rows, combined_digest(hashes, num_rows, widths)
