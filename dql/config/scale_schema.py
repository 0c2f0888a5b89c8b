"""The shape of `scales/<scale>.yaml` and of `suites.yaml`: what runs, and how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, TypeAdapter, field_validator, model_validator

from dql.config.fields import Count, Seed, Settings, Strict, Unique
from dql.config.schema import BehaviorConfig, SuiteName, TrainingConfig
from dql.config.validation import merge, validate
from dql.config.yaml_text import read_yaml

WHAT_RUNS = ("seeds", "tasks", "methods", "task_methods")
"""Keys of a suite that its stages stand for."""


class TrainingScale(TrainingConfig):
    """The same in a scale file, where the task may decide (`from_task`)."""

    num_gradient_steps: Count | Literal["from_task"]
    num_evaluation_episodes: Count | Literal["from_task"]


class Stage(Strict):
    """Cells and seeds that a campaign runs together, before the stages after it."""

    tasks: Unique[str]
    methods: Unique[str]
    seeds: Unique[Seed]

    def runs(self) -> list[tuple[str, str, int]]:
        """Return every (task, method, seed), task by task."""
        return [
            (task, method, seed)
            for task in self.tasks
            for method in self.methods
            for seed in self.seeds
        ]


class SuiteScale(Strict):
    """What a scale runs of one suite; no seeds: nothing is trained.

    Either every cell has the suite's seeds, or `stages` list cells with seeds of their
    own, in the order in which they are wanted.
    """

    seeds: Unique[Seed] = []
    stages: list[Stage] = []
    seeds_per_job: Count = 1
    tasks_per_job: Count = Field(
        1, description="tasks whose steps are alike, trained in one process"
    )
    tasks: Unique[str] | Literal["all"] = "all"
    methods: Unique[str] = []
    task_methods: dict[str, Unique[str]] = Field(
        {}, description="further methods of single tasks"
    )
    settings: Settings = Field(
        {}, description="laid over the methods whose agent has the key"
    )
    online: Settings = Field({}, description="sizes of online continuations")
    training: TrainingScale
    num_transitions: Count | None = Field(None, description="None: all there are")
    behavior: BehaviorConfig | None = None
    max_evaluation_steps: Count | None = Field(
        None, description="cuts evaluation episodes below the task's horizon"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_names_from_stages(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("stages"):
            return values
        for key in WHAT_RUNS:
            if key in values:
                raise ValueError(f"stages and {key} cannot both say what runs")
        if values.get("tasks_per_job", 1) != 1:
            raise ValueError(
                "stages want runs one by one, and tasks_per_job together; leave it off"
            )
        stages = TypeAdapter(list[Stage]).validate_python(values["stages"])
        seeds = {seed for stage in stages for seed in stage.seeds}
        tasks = dict.fromkeys(task for stage in stages for task in stage.tasks)
        found = {"stages": stages, "seeds": sorted(seeds), "tasks": list(tasks)}
        return {**values, **found}

    def methods_of(self, task: str) -> list[str]:
        """Return what is run of a task, each method once."""
        if self.stages:
            found = [name for s in self.stages if task in s.tasks for name in s.methods]
            return list(dict.fromkeys(found))
        return list(dict.fromkeys([*self.methods, *self.task_methods.get(task, [])]))

    def cells(self) -> list[tuple[str, str]]:
        """Return every (task, method); `tasks` must be resolved to names."""
        return [(task, name) for task in self.tasks for name in self.methods_of(task)]

    def seeds_of(self, task: str, method: str) -> list[int]:
        """Return the seeds of a cell; of one that no stage lists, all of them."""
        found = {
            seed
            for stage in self.stages
            if task in stage.tasks and method in stage.methods
            for seed in stage.seeds
        }
        return sorted(found) or self.seeds

    def runs(self) -> list[tuple[str, str, int]]:
        """Return every (task, method, seed) once, the first wanted first."""
        if self.stages:
            found = [run for stage in self.stages for run in stage.runs()]
            return list(dict.fromkeys(found))
        return [(*cell, seed) for cell in self.cells() for seed in self.seeds]


class SuitesFile(Strict):
    """`suites.yaml`: what holds of a suite where a scale says nothing else."""

    templates: Any = None
    suites: dict[SuiteName, SuiteScale]


class ScaleFile(Strict):
    """`scales/<scale>.yaml`, laid over `suites.yaml`."""

    description: str
    templates: Any = None
    suites: dict[SuiteName, SuiteScale]

    @field_validator("suites")
    @classmethod
    def _in_order(cls, suites: dict[str, SuiteScale]) -> dict[str, SuiteScale]:
        """Return the suites as tables list them, whichever file names them first."""
        return {name: suites[name] for name in get_args(SuiteName) if name in suites}


def read_scale(folder: Path, scale: str, changes: Mapping[str, Any]) -> ScaleFile:
    """Lay a scale over its suites' defaults, and changes of suites over both."""
    name = f"scales/{scale}.yaml"
    defaults = read_yaml(folder / "suites.yaml")
    validate(SuitesFile, defaults, "suites.yaml")
    own = read_yaml(folder / name)
    values = merge({"suites": _give_way(defaults["suites"], own)}, own)
    return validate(ScaleFile, merge(values, {"suites": changes}), name)


def _give_way(defaults: Mapping[str, Any], scale: Mapping[str, Any]) -> dict[str, Any]:
    """Leave off the suites' defaults of what runs where a scale's stages say it."""
    return {
        suite: {k: v for k, v in values.items() if k not in WHAT_RUNS}
        if _has_stages(scale, suite)
        else values
        for suite, values in defaults.items()
    }


def _has_stages(scale: Mapping[str, Any], name: str) -> bool:
    suites = scale.get("suites")
    suite = suites.get(name) if isinstance(suites, Mapping) else None
    return isinstance(suite, Mapping) and bool(suite.get("stages"))
