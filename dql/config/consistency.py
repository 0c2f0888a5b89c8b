"""Whether methods, tasks and scale name what exists, with settings in their ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dql.config.rows import row_faults
from dql.config.validation import Fault, setting_names, settings_faults
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config.project import Project
    from dql.config.schema import TaskConfig


def check_references(project: Project) -> None:
    """Raise unless every name in methods and scale exists, with valid settings.

    One error names every fault; that of a method stands there once, not per task.
    """
    found: dict[tuple[str, str], str] = {}
    for subject, where, message in _faults(project):
        if (subject.partition("@")[0], message) not in found:  # of a variant's method
            found.setdefault((subject, message), where)
    if found:
        lines = [f"{where}: {message}" for (_, message), where in found.items()]
        raise UserError("\n".join(lines))


def _faults(project: Project) -> Iterator[Fault]:
    yield from row_faults(project.rows, project.methods)
    for name, method in project.methods.items():
        for task in method.tasks:
            yield from _cell_faults(project, "methods.yaml", task, name)
    for suite in project.scale.suites:
        yield from _suite_faults(project, suite)


def _suite_faults(project: Project, suite_name: str) -> Iterator[Fault]:
    scale = f"scales/{project.config.scale}.yaml"
    suite, known_tasks = project.scale.suites[suite_name], set()
    for task in (*suite.tasks, *suite.task_methods):
        try:
            actual = project.task(task).suite
        except UserError as error:
            yield Fault(task, scale, str(error))
            continue
        known_tasks.add(task)
        if actual != suite_name:
            message = f"task '{task}' is of suite '{actual}', not '{suite_name}'"
            yield Fault(task, scale, message)
    for task, method in suite.cells():
        if task in known_tasks:
            yield from _cell_faults(project, scale, task, method, is_trained=True)
    # Of methods too that the scale does not name: `dql train` trains any at any scale.
    agents = {row.agent for row in project.methods.values()}
    known = {name for agent in agents for name in setting_names(agent)}
    for key in suite.settings:
        if key not in known:
            message = f"no method has a setting '{key}'{nearest(key, known)}"
            yield Fault(key, f"{scale}: {suite_name}", message)


def _cell_faults(
    project: Project, where: str, task: str, method: str, *, is_trained: bool = False
) -> Iterator[Fault]:
    """Yield what is wrong with a method on a task, names included."""
    try:
        agent, chosen = project.chosen_settings(task, method)
        if not settings_faults(agent, chosen)[1]:
            project.online(task, method)
            if is_trained:
                project.training(task, method)
    except UserError as error:
        yield Fault(method, where, str(error))
        return
    _, faults = settings_faults(agent, chosen)
    for fault in faults:
        yield Fault(method, f"{where}: method '{method}' on '{task}'", fault)


def unknown_seed(
    task: TaskConfig, seed: int, seeds: list[int], scale: str
) -> UserError:
    """Return the error that says which seeds a scale trains instead."""
    if not seeds:
        return UserError(
            f"Task '{task.name}': suite '{task.suite}' has no runs at scale "
            f"'{scale}'. Use --scale paper (Snakemake: --config scale=paper)."
        )
    closest = min(seeds, key=lambda candidate: abs(candidate - seed))
    return UserError(
        f"Unknown seed {seed} for suite '{task.suite}' at scale '{scale}': the "
        f"nearest is {closest}. Its seeds are {', '.join(map(str, seeds))}."
    )
