"""The rule for claims about settings, judged on the configuration of this project.

The values on file are those of the paper's Table 3 and of the released code, whose
sources stand in `workflow/config`; no run is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from dql.claims.scores import Finding
from dql.config.fields import Strict
from dql.config.schema import TaskConfig
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config.project import Project


class EveryTask(Strict):
    """On every task, each setting of a method (or size of the task) is an allowed one.

    Unknown settings are refused when the rule is judged: they depend on the method.
    """

    every_task: dict[str, list[Any]] = Field(min_length=1)
    method: str

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        parts = [
            f"{key} is {' or '.join(map(_text, allowed))}"
            for key, allowed in self.every_task.items()
        ]
        return f"{self.method}, on every task: {', '.join(parts)}"

    def judge(self, project: Project, tasks: list[str], where: str) -> Finding:
        """Return the finding with the values that occur and where."""
        numbers, satisfied = {}, True
        for key, allowed in self.every_task.items():
            found = {task: _value(project, task, self.method, key, where)
                     for task in tasks}  # fmt: skip
            values = list(dict.fromkeys(found.values()))
            numbers[key] = {_text(v): sum(w == v for w in found.values())
                            for v in sorted(values, key=_order)}  # fmt: skip
            satisfied &= all(value in allowed for value in values)
        listed = [_listing(key, counts, len(tasks)) for key, counts in numbers.items()]
        return Finding(satisfied, "; ".join(listed), numbers)


def _listing(key: str, counts: dict[str, int], total: int) -> str:
    """Return the values that occur and how often, in short first if they are many."""
    if counts == {next(iter(counts)): total}:
        return f"{key} {next(iter(counts))} on all {total} tasks"
    listed = ", ".join(
        f"{value} ({count} of {total})" for value, count in counts.items()
    )
    if len(counts) <= 3:
        return f"{key} {listed}"
    first, *_, last = counts
    return f"{key} from {first} to {last}; {listed}"


def _value(project: Project, task: str, method: str, key: str, where: str) -> Any:
    """Return a method's setting on a task, or a size of the task itself."""
    settings = project.settings(task, method)
    if key in settings:
        return settings[key]
    if key in TaskConfig.model_fields:
        return getattr(project.task(task), key)
    known = [*settings, *TaskConfig.model_fields]
    raise UserError(f"{where}: unknown setting '{key}'{nearest(key, known)}")


def _text(value: Any) -> str:
    """Return a setting as a reader's word."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(value: Any) -> tuple[bool, Any]:
    """Sort numbers by size, after words."""
    is_number = isinstance(value, int | float)
    return is_number, value if is_number else str(value)
