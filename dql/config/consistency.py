"""Whether methods, tasks and scale name what exists, with valid settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dql.config.rows import check_rows
from dql.config.scale_schema import SuiteScale
from dql.config.validation import setting_names
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config.project import Project


def check_references(project: Project) -> None:
    """Raise unless every name in methods and scale exists, with valid settings."""
    check_rows(project.rows, project.methods)
    for name, method in project.methods.items():
        for task in method.tasks:
            project.settings(task, name)
    for name, suite in project.scale.suites.items():
        _check_suite(project, name, suite)


def _check_suite(project: Project, suite_name: str, suite: SuiteScale) -> None:
    scale = f"scales/{project.config.scale}.yaml"
    for task in (*suite.tasks, *suite.task_methods):
        if project.task(task).suite != suite_name:
            raise UserError(
                f"{scale}: task '{task}' is of suite '{project.task(task).suite}', not "
                f"'{suite_name}'"
            )
    for task, method in suite.cells():
        project.settings(task, method)
    agents = {project.method(method)[0].agent for _, method in suite.cells()}
    known = {name for agent in agents for name in setting_names(agent)}
    for key in suite.settings:
        if key not in known:
            raise UserError(
                f"{scale}: {suite_name}: no method has a setting '{key}'"
                f"{nearest(key, known)}"
            )
