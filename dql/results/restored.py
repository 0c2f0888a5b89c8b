"""What was restored from kept results, not made here: runs, and what they learned on.

A restored run is evidence as it stands: whatever the code is today, no rule makes it
again. Its data may be made again for other runs. Another kind of processor rounds
otherwise and so makes other rows by the same recipe; digests of such data are siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dql import paths
from dql.config.project import RunKey

SIBLINGS = "sibling_digests"
"""Key of a manifest: digests of data made by its recipe on other processors."""
NOT_OF_THE_RECIPE = frozenset(
    {
        "digest",
        "episode_length",
        "episode_return",
        "made_from",
        "num_cut_episodes",
        "num_episodes",
        "num_training_transitions",
        "served_by",
        "versions",
        SIBLINGS,
    }
)
"""What a manifest measures of the data it describes, and where they were made."""


def is_restored(directory: Path) -> bool:
    """Tell whether a run's folder was restored, and holds a finished run."""
    names = (paths.RESTORED_FILE, paths.PROVENANCE_FILE)
    return all((directory / name).is_file() for name in names)


def restored_runs() -> set[RunKey]:
    """Return the runs of the working directory that were restored."""
    found = set()
    for mark in paths.RUNS.glob(f"*/*/seed*/{paths.RESTORED_FILE}"):
        task, method, seed = mark.parent.relative_to(paths.RUNS).parts
        number = seed.removeprefix("seed")
        if number.isdigit() and is_restored(mark.parent):
            found.add(RunKey(task, method, int(number)))
    return found


def lacks_checkpoint(run: tuple[str, str, int]) -> bool:
    """Tell whether a run was restored where it was not trained: nothing can ask it."""
    directory = paths.run_directory(*run)
    return is_restored(directory) and not (directory / paths.CHECKPOINT_FOLDER).is_dir()


def is_held(task: str) -> bool:
    """Tell whether restored runs hold a task's manifest: new data must keep to it."""
    files = paths.restored_manifest(task), paths.dataset_manifest(task)
    return all(file.is_file() for file in files)


def digests(manifest: Mapping[str, Any]) -> set[str]:
    """Return the digest of a manifest's data and those of its siblings."""
    return {manifest["digest"], *manifest.get(SIBLINGS, [])}


def recipe(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the data up to rounding: sources, sizes, seeds, physics."""
    return {k: v for k, v in manifest.items() if k not in NOT_OF_THE_RECIPE}


def recipe_difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Name the keys in which the recipes of two manifests differ, or return ''."""
    ours, theirs = recipe(here), recipe(there)
    keys = sorted(ours.keys() | theirs.keys())
    return ", ".join(key for key in keys if ours.get(key) != theirs.get(key))


def with_siblings(
    manifest: Mapping[str, Any], restored: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a manifest that names the data of restored runs as its own's siblings.

    Data of another recipe are none.
    """
    others = digests(manifest)
    if not recipe_difference(manifest, restored):
        others |= digests(restored)
    return {**manifest, SIBLINGS: sorted(others - {manifest["digest"]})}
