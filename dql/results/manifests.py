"""The small file beside a dataset that says what it holds: read, checked, written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dql import paths
from dql.errors import UserError
from dql.files import write_json

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

REMEDIES = {
    "local": "dql data generate",
    "remade": "dql data generate",
    "d4rl": "dql data fetch",
    "minari": "dql data fetch",
}


class ReferenceScores(BaseModel):
    """The returns that a dataset's scores are normalised with."""

    model_config = ConfigDict(extra="allow", strict=True)

    min: float | None
    max: float | None


class Manifest(BaseModel):
    """What others rely on; a manifest also describes where its data come from."""

    model_config = ConfigDict(extra="allow", strict=True)

    task: str
    digest: str
    source: str | None = None
    num_transitions: int | None = None
    num_episodes: int | None = None
    episode_return: dict[str, float | None] | None = None
    reference_scores: ReferenceScores | None = None


def remedy(task: TaskConfig) -> str:
    """Return the command that makes the task's data."""
    return f"{REMEDIES[task.dataset.source]} {task.name}"


def check_manifest(content: Mapping[str, Any], path: Path) -> None:
    """Raise unless the content has a manifest's shape."""
    try:
        Manifest.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        raise UserError(
            f"the manifest {path} cannot be used ({key}: {fault['msg']})"
        ) from None


def read_manifest(task: TaskConfig, root: Path = paths.DATASETS) -> dict[str, Any]:
    """Read the manifest of a task's dataset; say how to make it if there is none."""
    path = root / f"{task.name}.json"
    again = f"make the data again with: {remedy(task)}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"task '{task.name}' has no data yet ({path} is missing); "
            f"make them with: {remedy(task)}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"the manifest {path} cannot be used ({error}); {again}"
        ) from None
    try:
        check_manifest(content, path)
    except UserError as error:
        raise UserError(f"{error}; {again}") from None
    if content["task"] != task.name:
        raise UserError(
            f"the manifest {path} cannot be used (it belongs to another task); {again}"
        )
    return content


def write_manifest(manifest: dict[str, Any], root: Path = paths.DATASETS) -> Path:
    """Write a manifest beside its dataset and return where it stands."""
    path = root / f"{manifest['task']}.json"
    write_json(path, manifest)
    return path
