"""Which tasks a job trains together, beside the seeds of a block.

A block's runs go in lock step in one process: on a GPU a step of many costs little more
than one. Tasks can share one where their steps are of the same operations: environments
of one kind, with the same horizon, and equal trainings and settings but for numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dql.agents.sharing import first_conflict
from dql.config.project import Project


class TaskBlock(NamedTuple):
    """Tasks that one job trains, by each of these methods."""

    tasks: list[str]
    methods: list[str]


def task_blocks(project: Project, suite: str) -> Iterator[TaskBlock]:
    """Yield the blocks of more than one task; all else is trained task by task."""
    sizes = project.suite(suite)
    if sizes.tasks_per_job == 1:
        return
    kinds: dict[tuple[str, int], list[str]] = {}
    for name in sizes.tasks:
        task = project.task(name)
        kind = task.environment.partition("-")[0], task.horizon
        kinds.setdefault(kind, []).append(name)
    for names in kinds.values():
        for start in range(0, len(names), sizes.tasks_per_job):
            tasks = names[start : start + sizes.tasks_per_job]
            methods = [
                m for m in _methods_of_all(project, tasks) if _alike(project, tasks, m)
            ]
            if len(tasks) > 1 and methods:
                yield TaskBlock(tasks, methods)


def block_size(project: Project, task: str, method: str) -> int:
    """Return how many runs at most train together with one of a cell."""
    suite = project.task(task).suite
    seeds = project.suite(suite).seeds_per_job
    for block in task_blocks(project, suite):
        if task in block.tasks and method in block.methods:
            return seeds * len(block.tasks)
    return seeds


def _methods_of_all(project: Project, tasks: Sequence[str]) -> list[str]:
    sizes = project.suite(project.task(tasks[0]).suite)
    shared = set.intersection(*(set(sizes.methods_of(task)) for task in tasks))
    return [method for method in sizes.methods_of(tasks[0]) if method in shared]


def _alike(project: Project, tasks: Sequence[str], method: str) -> bool:
    """Tell whether a method's runs on the tasks can go in lock step."""
    first, *others = (project.settings(task, method) for task in tasks)
    trainings = [project.training(task, method) for task in tasks]
    return (
        project.online(tasks[0], method) is None
        and all(training == trainings[0] for training in trainings)
        and not any(first_conflict(first, other) for other in others)
    )
