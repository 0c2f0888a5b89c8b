"""The configuration in `workflow/config`, and every run resolved from it.

`config.yaml` chooses the scale; `tasks.yaml` and `methods.yaml` say what exists;
`scales/<scale>.yaml`, laid over `suites.yaml`, says which of it runs, with which seeds
and for how long. A setting's value comes from, later ones winning: the agent's default,
the suite, the method, the method's suite, the task, the method's task, the scale, the
variant (`diffusion_ql@eta=0`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dql.config.consistency import check_references, unknown_seed
from dql.config.fields import Settings
from dql.config.online import OnlineConfig, split_variant
from dql.config.resolution import (
    find_task,
    lineage,
    online_training,
    resolve_all_tasks,
    resolve_online,
    resolve_rewards,
    resolve_settings,
    resolve_tasks,
    resolve_training,
)
from dql.config.rows import (
    MethodConfig,
    MethodsFile,
    TaskRow,
    TasksFile,
    fill_methods,
    fill_tasks,
)
from dql.config.scale_schema import ScaleFile, SuiteScale, read_scale
from dql.config.schema import (
    ProjectConfig,
    RunConfig,
    SuiteName,
    TaskConfig,
    TrainingConfig,
)
from dql.config.validation import (
    FileModel,
    check_preparation,
    merge,
    parse_variant,
    setting_names,
    validate,
    validate_settings,
)
from dql.config.yaml_text import read_yaml
from dql.errors import UserError, nearest
from dql.paths import CONFIG


class RunKey(NamedTuple):
    """The three names that identify a run, and its folder."""

    task: str
    method: str
    seed: int


@dataclass(frozen=True)
class Project:
    """The validated configuration at one scale."""

    config: ProjectConfig
    scale: ScaleFile
    rows: Mapping[str, TaskRow]
    tasks: Mapping[str, TaskConfig]
    methods: Mapping[str, MethodConfig]

    def task(self, name: str) -> TaskConfig:
        """Return a task's configuration with the scale's sizes; unknown names raise.

        A variant, `task@key=value`, is the task with other rows.
        """
        return find_task(self.tasks, name)

    def suite(self, name: str) -> SuiteScale:
        """Return what the scale runs of a suite."""
        if name not in self.scale.suites:
            hint = nearest(name, self.scale.suites)
            if name == "remade":
                hint = "; remade data are of --scale evidence"
            scale = self.config.scale
            raise UserError(f"Unknown suite '{name}' at scale '{scale}'{hint}")
        return self.scale.suites[name]

    def method(self, name: str) -> tuple[MethodConfig, Settings]:
        """Split `method@key=value` into its row and the variant's settings."""
        base, _, variant = name.partition("@")
        if base not in self.methods:
            raise UserError(f"Unknown method '{base}'{nearest(base, self.methods)}")
        if "@" in name and not variant:
            raise UserError(f"Method '{name}': write method@key=value")
        try:
            settings = parse_variant(variant)
            split_variant(settings)
            return self.methods[base], settings
        except UserError as error:
            raise UserError(f"Method '{name}': {error}") from None

    def label(self, method: str) -> str:
        """Return the method's name for readers, its variant in parentheses."""
        row, _ = self.method(method)
        variant = method.partition("@")[2]
        if not variant:
            return row.label
        return f"{row.label} ({variant.replace('=', ' = ').replace(',', ', ')})"

    def settings(self, task: str, method: str) -> Settings:
        """Return the complete, validated agent settings of a method on a task."""
        agent, chosen = self.chosen_settings(task, method)
        return validate_settings(agent, chosen, f"method '{method}' on '{task}'")

    def chosen_settings(self, task: str, method: str) -> tuple[str, Settings]:
        """Return a method's agent and what the files and the variant set, unchecked."""
        row, variant = self.method(method)
        suite = self.task(task).suite
        suites = {self.rows[name].suite for name in lineage(self.rows, task)}
        if row.serves is not None and not suites & {*row.serves}:
            raise UserError(
                f"Method '{method}' does not serve task '{task}' of suite '{suite}'. "
                f"It serves the suites {', '.join(row.serves)}."
            )
        scaled = self.scale.suites[suite].settings if suite in self.scale.suites else {}
        names = setting_names(row.agent)
        chosen = resolve_settings(row, self.rows, task)
        chosen |= {key: value for key, value in scaled.items() if key in names}
        return row.agent, chosen | split_variant(variant)[0]

    def online(self, task: str, method: str) -> OnlineConfig | None:
        """Return how a method goes on with fresh interaction, None if it does not."""
        row, variant = self.method(method)
        if not split_variant(variant)[1]:
            return None
        learned, settings = self.learned(task, method), self.settings(task, method)
        suite = self.suite(learned.suite)
        return resolve_online(row, variant, suite, learned, settings, method)

    def learned(self, task: str, method: str) -> TaskConfig:
        """Return a task with the rewards that a method learns from."""
        return resolve_rewards(self.method(method)[0], self.rows, self.task(task))

    def run_config(self, task: str, method: str, seed: int) -> RunConfig:
        """Return everything that decides one run; an unknown name or seed raises."""
        environment, seeds = self.learned(task, method), self.seeds(task, method)
        suite = self.suite(environment.suite)
        if seed not in seeds:
            raise unknown_seed(environment, seed, seeds, self.config.scale)
        if suite.max_evaluation_steps:
            horizon = min(environment.horizon, suite.max_evaluation_steps)
            environment = environment.model_copy(update={"horizon": horizon})
        return RunConfig(
            task=task,
            method=method,
            label=self.label(method),
            seed=seed,
            suite=environment.suite,
            scale=self.config.scale,
            agent=self.method(method)[0].agent,
            settings=self.settings(task, method),
            training=self.training(task, method),
            online=self.online(task, method),
            environment=environment,
        )

    def training(self, task: str, method: str) -> TrainingConfig:
        """Return how long and in which batches a method trains on a task."""
        environment, (row, _) = self.task(task), self.method(method)
        training = resolve_training(self.suite(environment.suite), environment, row)
        if online := self.online(task, method):
            return online_training(training, online)
        settings, where = self.settings(task, method), f"method '{method}' on '{task}'"
        check_preparation(row.agent, settings, training.num_gradient_steps, where)
        return training

    def run_configs(
        self, task: str, method: str, seeds: Sequence[int]
    ) -> list[RunConfig]:
        """Return a run for each seed; a seed that stands twice raises."""
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise UserError(
                    f"Seed {seed} stands twice: two runs would write to the same folder"
                )
        return [self.run_config(task, method, seed) for seed in seeds]

    def runs(self) -> list[RunKey]:
        """List every run of the scale, suite by suite."""
        suites = self.scale.suites.values()
        return [RunKey(*run) for suite in suites for run in suite.runs()]

    def seeds(self, task: str, method: str) -> list[int]:
        """Return the seeds that the scale trains of a cell."""
        return self.suite(self.task(task).suite).seeds_of(task, method)

    def cells(self, suites: Iterable[str]) -> list[tuple[str, str]]:
        """List the (task, method) pairs that the scale trains in these suites."""
        trained = [suite for suite in map(self.suite, suites) if suite.seeds]
        return [cell for suite in trained for cell in suite.cells()]

    def table_suites(self, table: str) -> list[SuiteName]:
        """List the suites of a table that the scale has; an unknown table raises."""
        tables = self.config.tables
        if table not in tables:
            raise UserError(f"Unknown table '{table}'{nearest(table, tables)}")
        return [suite for suite in tables[table] if suite in self.scale.suites]

    @property
    def tables(self) -> list[str]:
        """List the tables of which the scale has a task, run or not."""
        suites_of = {name: self.table_suites(name) for name in self.config.tables}
        tasks = {name: suite.tasks for name, suite in self.scale.suites.items()}
        return [name for name, shown in suites_of.items() if any(map(tasks.get, shown))]


def load_project(
    config_dir: Path = CONFIG,
    scale: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Project:
    """Read and check the configuration; `scale` and `overrides` win over its files."""
    chosen = dict(overrides or {}) | ({"scale": scale} if scale else {})
    values = merge(read_yaml(config_dir / "config.yaml"), chosen)
    config = validate(ProjectConfig, values, "config.yaml")
    scales = [path.stem for path in sorted((config_dir / "scales").glob("*.yaml"))]
    if config.scale not in scales:
        raise UserError(
            f"Unknown scale '{config.scale}'{nearest(config.scale, scales)}"
        )
    scale_file = read_scale(config_dir, config.scale, config.suites)
    rows = fill_tasks(_read(config_dir, TasksFile, "tasks.yaml"))
    methods = fill_methods(_read(config_dir, MethodsFile, "methods.yaml"))
    tasks = dict(resolve_tasks(config, scale_file, rows))
    scale_file = resolve_all_tasks(scale_file, tasks)
    project = Project(config, scale_file, rows, tasks, methods)
    check_references(project)
    return project


def _read(config_dir: Path, model: type[FileModel], name: str) -> FileModel:
    return validate(model, read_yaml(config_dir / name), name)
