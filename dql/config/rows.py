"""The rows of `tasks.yaml` and `methods.yaml`: their shape, the defaults they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from pydantic import Field

from dql.agents.registry import SETTINGS
from dql.config.fields import Count, Name, Settings, Strict, Unique
from dql.config.schema import RewardTransform, SuiteName, TaskConfig
from dql.config.validation import (
    Fault,
    merge,
    setting_names,
    settings_faults,
    validate,
)
from dql.errors import UserError, nearest


class TaskRow(TaskConfig):
    """A row of `tasks.yaml`: a task, and what methods take from it."""

    settings: Settings = Field(
        {}, description="read by the methods that list the key under `from_task`"
    )

    def taken_by(self, method: MethodConfig) -> Settings:
        """Return those of the row's settings that a method reads."""
        return {k: v for k, v in self.settings.items() if k in method.from_task}


class TasksFile(Strict):
    """`tasks.yaml`; `templates` holds YAML anchors and is not read.

    A row states what differs from its environment's and its suite's defaults.
    """

    templates: Any = None
    environments: dict[Name, Settings] = {}
    suites: dict[SuiteName, Settings] = {}
    tasks: dict[Name, Settings]


class MethodConfig(Strict):
    """An agent with its settings: for every suite, for one suite, for one task."""

    agent: str = Field("", description="if not named as the method is")
    label: str
    settings: Settings = {}
    suites: dict[SuiteName, Settings] = {}
    from_task: Unique[str] = Field([], description="settings read from the task's row")
    tasks: dict[str, Settings] = {}
    online: Settings = Field({}, description="of its online continuation")
    reward_transforms: dict[SuiteName, RewardTransform] = Field(
        {}, description="where its authors scale rewards otherwise than the task's row"
    )
    serves: Unique[SuiteName] | None = Field(None, description="None: every suite")
    batch_size: Count | None = Field(
        None, description="the method's own, where the scale's is larger"
    )


class MethodsFile(Strict):
    """`methods.yaml`; `suites` holds for every method whose agent has the key."""

    templates: Any = None
    suites: dict[SuiteName, Settings] = {}
    methods: dict[Name, MethodConfig]


FROM_NAMESAKE = ("settings", "offline_selection_rank")
"""What a row of `tasks.yaml` takes from its namesake's."""


def fill_tasks(file: TasksFile) -> dict[str, TaskRow]:
    """Lay each row over the defaults of its environment and of its suite."""
    return {name: _fill_task(file, name) for name in file.tasks}


def _fill_task(file: TasksFile, name: str) -> TaskRow:
    row = file.tasks[name]
    layers = [
        _named(file.environments, row.get("environment")),
        _named(file.suites, row.get("suite")),
        _namesake(file, name),
        row,
    ]
    where = (
        f"tasks.yaml: {name} (with the defaults of environment "
        f"'{row.get('environment')}' and suite '{row.get('suite')}')"
    )
    return validate(TaskRow, reduce(merge, layers, {}), where)


def _named(defaults: Mapping[str, Settings], key: Any) -> Settings:
    """Return the defaults of a name; a wrong one is a fault that validation finds."""
    return defaults.get(key, {}) if isinstance(key, str) else {}


def _namesake(file: TasksFile, name: str) -> Settings:
    """Return what the row takes from its namesake's, a task of D4RL."""
    other = file.tasks[name].get("namesake")
    if other is None:
        return {}
    valid = [task for task, row in file.tasks.items() if not row.get("namesake")]
    namesake = _fill_task(file, other) if other in valid else None
    if namesake is None or namesake.dataset.source != "d4rl":
        raise UserError(
            f"tasks.yaml: {name}: namesake '{other}' is no D4RL task"
            f"{nearest(other, valid)}"
        )
    return {key: getattr(namesake, key) for key in FROM_NAMESAKE}


def fill_methods(file: MethodsFile) -> dict[str, MethodConfig]:
    """Give each method its agent, and its suites the values all methods share."""
    methods = {name: _fill_method(file, name) for name in file.methods}
    known = {key for row in methods.values() for key in setting_names(row.agent)}
    for suite, shared in file.suites.items():
        for key in shared:
            if key not in known:
                raise UserError(
                    f"methods.yaml: suites.{suite}: no method has a setting '{key}'"
                    f"{nearest(key, known)}"
                )
    return methods


def _fill_method(file: MethodsFile, name: str) -> MethodConfig:
    method = file.methods[name]
    agent = method.agent or name
    if agent not in SETTINGS:
        raise UserError(
            f"methods.yaml: {name}: unknown agent '{agent}'{nearest(agent, SETTINGS)}"
        )
    suites = dict(method.suites)
    for suite, shared in file.suites.items():
        free = set(setting_names(agent)) - set(method.settings)
        defaults = {key: value for key, value in shared.items() if key in free}
        suites[suite] = defaults | suites.get(suite, {})
    return method.model_copy(update={"agent": agent, "suites": suites})


def row_faults(
    rows: Mapping[str, TaskRow], methods: Mapping[str, MethodConfig]
) -> Iterator[Fault]:
    """Yield what is wrong with settings: out of range, unknown, or read by nobody."""
    for name, method in methods.items():
        yield from _method_faults(name, method)
    for name, row in rows.items():
        yield from _task_faults(name, row, methods)


def _task_faults(
    task: str, row: TaskRow, methods: Mapping[str, MethodConfig]
) -> Iterator[Fault]:
    where = f"tasks.yaml: {task}: settings"
    read = {key for method in methods.values() for key in method.from_task}
    for key in row.settings:
        if key not in read:
            hint = nearest(key, sorted(read))
            message = f"no method of methods.yaml lists '{key}' under from_task{hint}"
            yield Fault(task, where, message)
    for name, method in methods.items():
        _, faults = settings_faults(method.agent, row.taken_by(method))
        for fault in faults:
            yield Fault(name, f"{where} ({name})", fault)


def _method_faults(name: str, method: MethodConfig) -> Iterator[Fault]:
    where, names = f"methods.yaml: {name}", setting_names(method.agent)
    for key in method.from_task:
        if key not in names:
            message = f"agent '{method.agent}' has no setting '{key}'"
            yield Fault(name, f"{where}: from_task", message + nearest(key, names))
    for suite, settings in {None: {}, **method.suites}.items():
        _, faults = settings_faults(method.agent, method.settings | settings)
        for fault in faults:
            yield Fault(name, f"{where}, suite '{suite}'" if suite else where, fault)
