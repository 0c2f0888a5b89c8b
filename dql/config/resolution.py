"""Fill settings, tasks, suites and trainings with what task and scale decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dql.config.data_schema import DataVariant, base_task, random_task
from dql.config.fields import Settings
from dql.config.online import (
    OnlineConfig,
    check_rates,
    check_share,
    check_start,
    split_variant,
)
from dql.config.rows import MethodConfig, TaskRow
from dql.config.scale_schema import ScaleFile, SuiteScale
from dql.config.schema import (
    Physics,
    ProjectConfig,
    TaskConfig,
    TrainingConfig,
)
from dql.config.validation import (
    check_preparation,
    parse_variant,
    spelled,
    validate,
)
from dql.errors import UserError, nearest

RECORDED_IN: dict[str, Physics] = {"minari": "stock", "remade": "d4rl"}
"""The physics of sources that have their own, whatever the configuration says.

What Minari publishes was recorded in today's; clones of D4RL's data belong to D4RL's.
"""


def lineage(rows: Mapping[str, TaskRow], task: str) -> list[str]:
    """Return the tasks whose settings hold for a task: its namesake, then itself.

    A variant of a task is trained as the task is.
    """
    task = base_task(task)
    namesake = rows[task].namesake
    return [namesake, task] if namesake else [task]


def resolve_settings(
    method: MethodConfig, rows: Mapping[str, TaskRow], task: str
) -> Settings:
    """Return what a method sets for a task: by suite, by the task's row, by task.

    Later layers win. A namesake's suite and task come before the task's own.
    """
    names = lineage(rows, task)
    layers = [
        method.settings,
        *(method.suites.get(rows[name].suite, {}) for name in names),
        rows[base_task(task)].taken_by(method),
        *(method.tasks.get(name, {}) for name in names),
    ]
    return {key: value for layer in layers for key, value in layer.items()}


def resolve_rewards(
    method: MethodConfig, rows: Mapping[str, TaskRow], task: TaskConfig
) -> TaskConfig:
    """Return a task with the rewards that a method learns from: its own, or the task's.

    By suite; remade data have their namesake's.
    """
    chosen = [
        method.reward_transforms[suite]
        for suite in (rows[name].suite for name in lineage(rows, task.name))
        if suite in method.reward_transforms
    ]
    return task.model_copy(update={"reward_transform": chosen[-1]}) if chosen else task


def resolve_tasks(
    config: ProjectConfig, scale: ScaleFile, rows: Mapping[str, TaskRow]
) -> Iterator[tuple[str, TaskConfig]]:
    """Give each task its name, the physics and the scale's data sizes."""
    for name, row in rows.items():
        suite = scale.suites.get(row.suite)
        dataset, behavior = row.dataset, row.behavior
        if suite and suite.num_transitions and dataset.source != "file":
            size = {"num_transitions": _num_transitions(row, suite.num_transitions)}
            dataset = dataset.model_copy(update=size)
        if suite and suite.behavior and dataset.source == "local":
            behavior = suite.behavior
        resolved = {
            "name": name,
            "physics": RECORDED_IN.get(dataset.source, config.physics),
            "dataset": dataset,
            "behavior": behavior,
        }
        values = row.model_dump(exclude={"settings"}) | resolved
        yield name, TaskConfig.model_validate(values)


def _num_transitions(task: TaskConfig, of_scale: int) -> int:
    """Return a scale's size of a dataset; remade data have D4RL's at most."""
    own = task.dataset.num_transitions
    return min(own, of_scale) if task.suite == "remade" and own else of_scale


def find_task(tasks: Mapping[str, TaskConfig], name: str) -> TaskConfig:
    """Return a task by name, or the variant of one; what it cannot be is refused."""
    base, at, variant = name.partition("@")
    if base not in tasks:
        raise UserError(f"Unknown task '{base}'{nearest(base, tasks)}")
    task, where = tasks[base], f"task '{name}'"
    if not at:
        return task
    if not variant:
        raise UserError(f"{where}: write task@key=value")
    if task.suite == "bandit":
        raise UserError(f"{where}: every run draws the bandit's data, none to vary")
    try:
        changes = parse_variant(variant)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    varied = validate(DataVariant, changes, where)
    levels = varied.model_dump(exclude_defaults=True)
    same = f"{base}@{','.join(f'{key}={spelled(levels[key])}' for key in levels)}"
    if name != same:
        raise UserError(f"{where}: write '{same}', by which these rows are stored")
    if varied.random_share:
        _check_random_data(tasks, task, varied, where)
    dataset = task.dataset.model_copy(update={"variant": varied})
    return task.model_copy(update={"name": name, "dataset": dataset})


def _check_random_data(
    tasks: Mapping[str, TaskConfig], task: TaskConfig, variant: DataVariant, where: str
) -> None:
    """Raise unless random actions are rolled out in the task's own simulator, enough.

    How many rows fewer episodes leave, and files that the scale does not cut have, is
    seen when they are there.
    """
    random = tasks.get(random_task(task.environment))
    if random is None:
        known = [t.environment for t in tasks.values() if t.dataset.quality == "random"]
        raise UserError(
            f"{where}: random_share: no data of random actions in "
            f"'{task.environment}'; tasks.yaml has them of {', '.join(known)}"
        )
    if random.physics != task.physics:
        raise UserError(
            f"{where}: random_share: '{random.name}' is of physics {random.physics!r}, "
            f"the task of {task.physics!r}; --set physics={task.physics} makes them one"
        )
    held = random.dataset.num_transitions
    asked = round(variant.random_share * (task.dataset.num_transitions or 0))
    if held and asked > held and variant.episode_share == 1:
        raise UserError(
            f"{where}: random_share: {asked:,} transitions of random actions, and "
            f"'{random.name}' has {held:,}, none of which is taken twice; "
            f"--set suites.local.num_transitions={asked} makes enough"
        )


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


def resolve_training(
    suite: SuiteScale, task: TaskConfig, method: MethodConfig
) -> TrainingConfig:
    """Replace `from_task` by the task's own numbers, the paper's.

    A method of smaller batches than the scale's has its own.
    """
    values = suite.training.model_dump()
    if method.batch_size:
        values["batch_size"] = min(method.batch_size, values["batch_size"])
    for key, value in values.items():
        if value == "from_task":
            values[key] = getattr(task, key)
    return validate(TrainingConfig, values, f"training of task '{task.name}'")


def resolve_online(
    row: MethodConfig,
    variant: Settings,
    suite: SuiteScale,
    task: TaskConfig,
    settings: Settings,
    method: str,
) -> OnlineConfig:
    """Return a variant's online phase, with the sizes of scale and method.

    `settings` are the agent's; what they do not go with is refused.
    """
    where = f"method '{method}' on '{task.name}'"
    chosen = suite.online | row.online | split_variant(variant)[1]
    online = validate(OnlineConfig, chosen, where)
    try:
        check_start(online, row.agent, settings, task.reward_transform)
        offline = resolve_training(suite, task, row)
        check_rates(online, settings, offline.num_gradient_steps)
        check_share(online, offline.batch_size)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if online.start == "scratch":
        check_preparation(row.agent, settings, online.num_updates, where)
    return online


def online_training(training: TrainingConfig, online: OnlineConfig) -> TrainingConfig:
    """Return a training as long as its environment steps say, in gradient steps."""
    changes = {
        "num_gradient_steps": online.num_updates,
        "evaluation_interval": online.evaluation_interval * online.updates_per_step,
    }
    return training.model_copy(update=changes)
