"""Make the data behind a restored manifest again, for runs beside the restored ones.

The same recipe on the same kind of processor gives the same rows. Another one rounds
otherwise, and one rounding apart an episode goes another way: such data are as good a
draw, with a digest of their own, and cells tell the two apart. Data of another recipe,
or of another mean return than chance allows, are refused.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.errors import UserError
from dql.files import locked, new_folder, write_json
from dql.results.files import read_json
from dql.results.manifests import read_manifest
from dql.results.restored import digests, recipe_difference

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

NUM_ERRORS = 4.0
"""Standard errors by which the mean returns of two draws may differ."""


def make_again(
    task: TaskConfig,
    make: Callable[..., Mapping[str, Any]],
    root: Path = paths.DATASETS,
) -> None:
    """Call `make(task, root=...)` and put its data where the manifest expects them.

    The manifest is written anew if the data are a sibling's of those it describes.
    """
    manifest = read_manifest(task, root)
    restored = root / paths.RESTORED_DATASETS.name / f"{task.name}.json"
    known = digests(manifest)
    if restored.is_file():
        known |= digests(read_json(restored))
    folder = root / paths.minari_id(task.name)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".again-") as name:
        made = make(task, root=Path(name))
        made = json.loads(json.dumps(made))  # as it stands in a file
        if made["digest"] not in known:
            check_sibling(made, manifest)
            logger.warning(
                "%s: the recipe's data have another digest on this processor (%s, "
                "before %s); cells will say so",
                task.name, made["digest"][:12], manifest["digest"][:12],
            )  # fmt: skip
        with locked(folder), new_folder(folder) as fresh:
            for part in (Path(name) / folder.name).iterdir():
                shutil.move(part, fresh / part.name)
        if made["digest"] != manifest["digest"]:
            write_json(root / f"{task.name}.json", made)


def maker(task: TaskConfig) -> Callable[..., Mapping[str, Any]]:
    """Return the function that makes a task's data here, by its source."""
    if task.dataset.variant:
        from dql.data.variants import generate
    elif task.dataset.quality == "random":
        from dql.data.random_actions import generate
    elif task.dataset.source == "remade" and task.environment.startswith("antmaze"):
        from dql.data.antmaze import generate
    elif task.dataset.source == "remade":
        from dql.data.remade import generate
    elif task.environment.startswith("pointmaze"):
        from dql.data.pointmaze import generate
    else:
        from dql.data.local import generate
    return generate


def fetcher(task: TaskConfig) -> Callable[..., Mapping[str, Any]]:
    """Return the function that fetches and converts a task's data, by its source."""
    if task.dataset.source == "minari":
        from dql.data.minari_remote import fetch
    else:
        from dql.data.d4rl import fetch
    return fetch


def check_sibling(made: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Raise unless two manifests are of one recipe and their returns agree."""
    task = manifest["task"]
    remedy = (
        f"to train on the new data, remove the kept runs of {task} and its manifest; "
        "to go on with the old, take the code they were made with"
    )
    difference = recipe_difference(made, manifest)
    if difference:
        raise UserError(
            f"the data of '{task}' would not be those that restored runs were trained "
            f"on, their manifests differ in {difference}; {remedy}"
        )
    ours, theirs = (_mean_return(one) for one in (made, manifest))
    if ours is None or theirs is None:
        return
    error = (ours[1] ** 2 + theirs[1] ** 2) ** 0.5
    if abs(ours[0] - theirs[0]) > NUM_ERRORS * error:
        raise UserError(
            f"the data of '{task}' are not those that restored runs were trained on, "
            f"by the same recipe: mean return {ours[0]:.1f} here, {theirs[0]:.1f} "
            f"there, standard error of the difference {error:.1f}; {remedy}"
        )


def _mean_return(manifest: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the mean return and its standard error, None where they are not known."""
    returns, count = manifest.get("episode_return") or {}, manifest.get("num_episodes")
    if (count or 0) < 2 or returns.get("mean") is None or returns.get("std") is None:
        return None
    return returns["mean"], returns["std"] / count**0.5
