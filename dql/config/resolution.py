"""Fill a task, a suite or a training with what the scale and the task decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dql.config.schema import (
    ProjectConfig,
    ScaleFile,
    SuiteScale,
    TaskConfig,
    TrainingConfig,
)
from dql.config.validation import validate
from dql.errors import UserError, nearest


def resolve_tasks(
    config: ProjectConfig, scale: ScaleFile, tasks: Mapping[str, TaskConfig]
) -> Iterator[tuple[str, TaskConfig]]:
    """Give each task its name, the physics and the scale's data sizes."""
    for name, task in tasks.items():
        suite = scale.suites.get(task.suite)
        dataset, behavior = task.dataset, task.behavior
        if suite and suite.num_transitions:
            size = {"num_transitions": _num_transitions(task, suite.num_transitions)}
            dataset = dataset.model_copy(update=size)
        if suite and suite.behavior and dataset.source == "local":
            behavior = suite.behavior
        # What Minari publishes was recorded in today's physics, whatever D4RL's was.
        # Clones of D4RL's data belong to the physics those were recorded in.
        always = {"minari": "stock", "remade": "d4rl"}
        physics = always.get(dataset.source, config.physics)
        twin = tasks.get(task.namesake) if task.namesake else None
        if task.namesake and (twin is None or twin.dataset.source != "d4rl"):
            raise UserError(
                f"tasks.yaml: {name}: namesake '{task.namesake}' is no D4RL task"
                f"{nearest(task.namesake, tasks)}"
            )
        rank = (twin or task).offline_selection_rank
        yield (
            name,
            task.model_copy(
                update={
                    "name": name,
                    "physics": physics,
                    "dataset": dataset,
                    "behavior": behavior,
                    "offline_selection_rank": rank,
                }
            ),
        )


def _num_transitions(task: TaskConfig, of_scale: int) -> int:
    """Return a scale's size of a dataset; remade data have D4RL's at most."""
    own = task.dataset.num_transitions
    return min(own, of_scale) if task.suite == "remade" and own else of_scale


def resolve_all_tasks(scale: ScaleFile, tasks: Mapping[str, TaskConfig]) -> ScaleFile:
    """Replace a suite's `tasks: all` by the names of its tasks."""
    suites = {
        name: suite.model_copy(
            update={"tasks": [task for task in tasks if tasks[task].suite == name]}
        )
        if suite.tasks == "all"
        else suite
        for name, suite in scale.suites.items()
    }
    return scale.model_copy(update={"suites": suites})


def resolve_training(suite: SuiteScale, task: TaskConfig) -> TrainingConfig:
    """Replace `from_task` by the task's own numbers, the paper's."""
    values = suite.training.model_dump()
    for key, value in values.items():
        if value == "from_task":
            values[key] = getattr(task, key)
    return validate(TrainingConfig, values, f"training of task '{task.name}'")
