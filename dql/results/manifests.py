"""The small file beside a dataset that says what it holds: read, checked, written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from dql import paths
from dql.config.schema import check_score_range
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


DEFAULT_NUM_TRANSITIONS = 1_000_000
"""Of data made here, where the scale does not say."""


class ReferenceScores(BaseModel):
    """The returns that a dataset's scores are normalised with."""

    model_config = ConfigDict(extra="allow", strict=True)

    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _check_range(self) -> ReferenceScores:
        check_score_range(self.min, self.max)
        return self


class Generator(BaseModel):
    """What data made here were made from."""

    model_config = ConfigDict(extra="allow", strict=True)

    quality: str | None = None
    seed: int | None = None
    budget: dict[str, Any] | None = None
    parts: list[dict[str, Any]] | None = None


class Manifest(BaseModel):
    """What others rely on; a manifest also describes where its data come from."""

    model_config = ConfigDict(extra="allow", strict=True)

    task: str
    digest: str
    source: str | None = None
    num_transitions: int | None = None
    num_published_transitions: int | None = None
    num_recorded_transitions: int | None = None
    num_chosen_transitions: int | None = None
    num_episodes: int | None = None
    environment: str | None = None
    horizon: int | None = None
    physics: str | None = None
    generator: Generator | None = None
    episode_return: dict[str, float | None] | None = None
    reference_scores: ReferenceScores | None = None


def remedy(task: TaskConfig) -> str:
    """Return the command that makes the task's data."""
    if task.dataset.variant:
        return f"dql data generate {task.name}"
    return f"{REMEDIES[task.dataset.source]} {task.name}"


def refuse_source(task: TaskConfig, verb: str) -> UserError:
    """Return the error of a verb that does not make such a task's data."""
    source = task.dataset.source
    if task.dataset.variant:
        base = task.name.partition("@")[0]
        return UserError(
            f"dql data {verb}: '{task.name}' is a variant, of which no row is stored; "
            f"name the task itself, {base}"
        )
    if source == "bandit":
        how = "every run draws them"
    elif source == "file":
        how = f"they are your own, {paths.own_file(task.dataset.path)}"
    else:
        how = f"get them with: {remedy(task)}"
    return UserError(
        f"dql data {verb} has no data for task '{task.name}' of source '{source}';"
        f" {how}"
    )


def check_asked_for(task: TaskConfig, manifest: Mapping[str, Any]) -> None:
    """Raise unless a manifest describes the data that the configuration asks for.

    Data of another scale, physics or seed have the same task's name.
    """
    facts = [
        f"{name} is {found!r}, the configuration has {wanted!r}"
        for name, found, wanted in _compared(task, manifest)
        if found is not None and found != wanted
    ]
    if facts:
        raise UserError(
            f"the data of '{task.name}' are others than those asked for "
            f"({'; '.join(facts)}). Make them with the --scale and --set of this "
            f"command: {remedy(task)}"
        )


def _compared(
    task: TaskConfig, manifest: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what decided the data: its name, the manifest's value, the task's.

    The manifest's is None where it does not say.
    """
    dataset, source = task.dataset, manifest.get("source")
    yield "source", source, dataset.source
    yield "environment", manifest.get("environment"), task.environment
    horizon = manifest.get("horizon")  # evaluations may be cut to less
    yield "horizon", horizon, max(task.horizon, horizon or 0)
    yield "physics", manifest.get("physics"), task.physics
    # Where physics rounds otherwise, a recording may not give all that was chosen.
    chosen = manifest.get("num_chosen_transitions") or manifest.get("num_transitions")
    yield "num_transitions", chosen, _num_rows(task, manifest)
    yield "id", manifest.get("minari_id"), dataset.id
    if dataset.sha256:
        yield "sha256", manifest.get("file_sha256"), dataset.sha256
    elif source == "d4rl":
        yield "url", manifest.get("url"), dataset.url
    made = manifest.get("generator") or {}
    yield "quality", made.get("quality"), dataset.quality
    yield "seed", made.get("seed"), dataset.seed
    for name in ("multistart", "multigoal"):
        yield name, made.get(name), getattr(dataset, name)
    if dataset.parts:
        wanted = [part.model_dump(mode="json") for part in dataset.parts]
        keys = wanted[0]
        found = made.get("parts")
        yield "parts", found and [{k: p.get(k) for k in keys} for p in found], wanted
    if dataset.variant:
        yield (
            "variant",
            manifest.get("variant"),
            dataset.variant.model_dump(mode="json"),
        )
    if task.behavior:
        yield "behavior", made.get("budget"), task.behavior.model_dump()


def _num_rows(task: TaskConfig, manifest: Mapping[str, Any]) -> int | None:
    """Return how many rows the task's data should have."""
    asked = task.dataset.num_transitions
    if task.dataset.variant:  # as many as the recorded rows leave
        return manifest.get("num_transitions")
    if task.dataset.source in ("local", "remade"):
        wanted = asked or DEFAULT_NUM_TRANSITIONS
        return min(wanted, manifest.get("num_recorded_transitions") or wanted)
    published = manifest.get("num_published_transitions")
    if published is None:  # a manifest from before this was noted
        found = manifest.get("num_transitions")
        return min(asked, found) if asked and found else found
    return min(asked or published, published)


def reference_scores(task: TaskConfig) -> dict[str, Any]:
    """Return the returns that a task's scores are normalised by, as a manifest does."""
    return {
        "min": task.reference_min_score,
        "max": task.reference_max_score,
        "source": task.reference_source,
    }


def check_reference_scores(scores: Any, where: str) -> None:
    """Raise unless scores are None or both returns to normalise by; name the place."""
    try:
        ReferenceScores.model_validate(scores or {"min": None, "max": None})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(("reference_scores", *map(str, fault["loc"])))
        reason = fault["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key}: {reason}") from None


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
