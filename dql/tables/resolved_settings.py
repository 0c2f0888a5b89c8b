"""The settings that the configuration resolves for a task, and the published ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.config.data_schema import is_varied
from dql.config.yaml_text import parse_yaml
from dql.errors import UserError
from dql.results.published import read_rows
from dql.results.selection import kept_rank

if TYPE_CHECKING:
    from dql.config.project import Project

ORIGINS = ("paper", "released code")
OF_TRAINING = (
    "num_gradient_steps", "batch_size", "evaluation_interval", "num_evaluation_episodes"
)  # fmt: skip


@dataclass(frozen=True)
class PublishedSetting:
    """A published hyperparameter of Diffusion-QL; `origin` is one of `ORIGINS`."""

    task: str
    setting: str
    value: Any
    origin: str
    source: str
    note: str


def load_settings(directory: Path = paths.PUBLISHED) -> list[PublishedSetting]:
    """Return the published settings; an unknown origin raises and names the row."""
    path = directory / "hyperparameters.csv"
    settings = []
    for row in read_rows(path):
        if row["origin"] not in ORIGINS:
            raise UserError(
                f"{path}: {row['task']}, {row['setting']}: unknown origin "
                f"{row['origin']!r}; known: {', '.join(ORIGINS)}"
            )
        where = f"{path}: {row['task']}, {row['setting']}"
        value = parse_yaml(row["value"], where)
        settings.append(PublishedSetting(**row | {"value": value}))
    return settings


def resolved_settings(project: Project, task: str, method: str) -> dict[str, Any]:
    """Return all that the configuration decides about training a method on a task."""
    config, training = project.learned(task, method), project.training(task, method)
    values = project.settings(task, method)
    values |= {name: getattr(training, name) for name in OF_TRAINING}
    rank = kept_rank(config.offline_selection_rank, project.config.selection_rule)
    return values | {
        "offline_selection_rank": rank,
        "reward_transform": config.reward_transform,
    }


def resolved_table(project: Project, table: str) -> Iterator[tuple[str, str, dict]]:
    """Yield task, method and resolved settings of a table's suites, run or not.

    A variant of a task's data has the task's settings, and no rows of its own.
    """
    for name in project.table_suites(table):
        for task, method in project.suite(name).cells():
            if not is_varied(task):
                yield task, method, resolved_settings(project, task, method)
