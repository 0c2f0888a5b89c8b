"""The shape of the configuration files and of one resolved run, as pydantic models.

An unknown key is an error that names the nearest valid one. `json_schema` exports the
schema of Snakemake's `config` (`workflow/config/config.schema.json`).
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from dql.agents.ranges import Steps
from dql.config.data_schema import DatasetConfig
from dql.config.fields import (
    Count,
    Name,
    Seed,
    Settings,
    Strict,
    Unique,
    Variant,
    optional,
)
from dql.config.online import OnlineConfig

SuiteName = Literal[
    "bandit", "local", "remade", "gym", "antmaze", "adroit", "kitchen", "minari"
]
RewardTransform = Literal[
    "none", "normalize", "cql_antmaze", "iql_antmaze", "iql_locomotion"
]
Physics = Literal["d4rl", "stock"]
SelectionRule = Literal["text", "as-released"]
Precision = Literal["float32", "tf32"]


def check_score_range(low: float | None, high: float | None) -> None:
    """Raise ValueError unless scores can be normalised by two returns, or by none."""
    if (low is None) != (high is None):
        raise ValueError("one reference score of two: give min and max, or neither")
    if low is None:
        return
    # 100 (return - min) is a number only if this is one.
    if not (-math.inf < low < high and 100.0 * (high - low) < math.inf):
        raise ValueError(
            f"reference scores from {low} to {high}: both must be finite, min below max"
        )


class BehaviorConfig(Strict):
    """How long SAC trains the behavior policies of local data, and what is kept."""

    seed: Seed = 0
    num_environment_steps: Count
    start_steps: Count = Field(5000, description="random ones, before the first update")
    snapshot_interval: Count = Field(
        10_000, description="environment steps from one stored policy to the next"
    )
    num_evaluation_episodes: Count = Field(20, description="of each snapshot")

    @model_validator(mode="after")
    def _train_to_the_last_snapshot(self) -> BehaviorConfig:
        if self.start_steps >= self.snapshot_interval:
            raise ValueError(
                f"start_steps, {self.start_steps}, leaves none of the first "
                f"{self.snapshot_interval} steps (snapshot_interval) to learn in"
            )
        together = OnlineConfig.model_fields["num_environments"].default
        if self.snapshot_interval % together:
            raise ValueError(
                f"snapshot_interval, {self.snapshot_interval}, is no multiple of the "
                f"{together} environments that step together"
            )
        if self.num_environment_steps % self.snapshot_interval:
            raise ValueError(
                f"num_environment_steps, {self.num_environment_steps}, is no multiple "
                f"of snapshot_interval, {self.snapshot_interval}: the last policy is "
                "the expert"
            )
        return self


class TaskConfig(Strict):
    """A dataset with its environment; `name` and scale-dependent sizes are resolved."""

    name: str = ""
    suite: SuiteName
    environment: Name
    layout: Literal["axes", "corners"] | None = None
    namesake: Name | None = optional(
        description="the D4RL task whose settings of methods, checkpoint rank and "
        "published numbers go with remade data",
    )
    horizon: Count
    physics: Physics = "d4rl"
    reward_transform: RewardTransform = "none"
    reference_min_score: float | None = None
    reference_max_score: float | None = None
    reference_source: str | None = None
    dataset: DatasetConfig
    behavior: BehaviorConfig | None = None
    num_gradient_steps: Count | None = Field(None, description="of the paper")
    num_evaluation_episodes: Count | None = Field(None, description="of the paper")
    offline_selection_rank: Steps | None = Field(
        None, description="0: the checkpoint with the lowest diffusion loss (top_k)"
    )

    @model_validator(mode="after")
    def _check_reference_scores(self) -> TaskConfig:
        check_score_range(self.reference_min_score, self.reference_max_score)
        return self

    @model_validator(mode="after")
    def _keep_minari_apart(self) -> TaskConfig:
        is_minari = self.dataset.source == "minari"
        if is_minari != (self.suite == "minari"):
            raise ValueError(
                "data of source 'minari' and tasks of suite 'minari' belong together, "
                "apart from D4RL's"
            )
        if is_minari != (self.dataset.id is not None):
            raise ValueError("source 'minari', and no other, needs a dataset id")
        return self

    @model_validator(mode="after")
    def _keep_the_bandit_apart(self) -> TaskConfig:
        is_bandit = self.dataset.source in ("bandit", "file")
        if is_bandit != (self.suite == "bandit"):
            raise ValueError(
                "data of source 'bandit' or 'file' and tasks of suite 'bandit' belong "
                "together"
            )
        if is_bandit != (self.environment == "bandit" and self.layout is not None):
            raise ValueError("environment 'bandit', and no other, needs a layout")
        if (self.dataset.source == "file") != (self.dataset.path is not None):
            raise ValueError("source 'file', and no other, needs a path")
        return self

    @model_validator(mode="after")
    def _keep_remade_apart(self) -> TaskConfig:
        facts = {
            "source 'remade'": self.dataset.source == "remade",
            "suite 'remade'": self.suite == "remade",
            "a namesake": self.namesake is not None,
            "parts of its dataset": bool(self.dataset.parts),
        }
        if len(set(facts.values())) > 1:
            missing = next(name for name, is_there in facts.items() if not is_there)
            raise ValueError(
                f"{', '.join(facts)} belong together, apart from D4RL's own data; "
                f"this task lacks {missing}"
            )
        return self

    @model_validator(mode="after")
    def _say_how_ants_walk(self) -> TaskConfig:
        dataset = self.dataset
        walks = dataset.source == "remade" and self.environment.startswith("antmaze")
        for name in ("multistart", "multigoal"):
            if walks != (getattr(dataset, name) is not None):
                raise ValueError(f"remade AntMaze data, and no other, need {name}")
        if walks and len(dataset.parts) != 1:
            raise ValueError("remade AntMaze data have one part: the ant that walks")
        return self


class TrainingConfig(Strict):
    """How long a run trains; every interval is in gradient steps."""

    num_gradient_steps: Count
    batch_size: Count
    log_interval: Count
    evaluation_interval: Count
    checkpoint_interval: Count
    num_evaluation_episodes: Count
    precision: Precision = Field(
        "float32", description="of the matrix products; tf32 needs a GPU"
    )


class ProjectConfig(Strict):
    """`config.yaml`, also what `snakemake --config` may set."""

    scale: Name = Field(description="name of a file in workflow/config/scales")
    physics: Physics = Field("d4rl", description="of the locomotion environments")
    selection_rule: SelectionRule = Field(
        "text", description="which checkpoint the offline score takes"
    )
    behavior_policies: Literal["kept", "trained"] = Field(
        "kept", description="behind local data: those of the source where they fit"
    )
    min_steps_to_rank: Count = Field(
        50000,
        description="gradient steps below which scores of data made here are called "
        "too short to rank",
    )
    tables: dict[Name, Unique[SuiteName]] = Field(description="suites of each table")
    suites: dict[SuiteName, dict[str, Any]] = Field(
        {}, description="replaces values of the scale's suites"
    )


class RunConfig(Strict):
    """Everything that decides one run; written to its `config.json`."""

    task: Variant
    method: Variant
    label: str
    seed: Seed
    suite: SuiteName
    scale: str
    agent: str
    settings: Settings
    training: TrainingConfig
    online: OnlineConfig | None = optional()
    environment: TaskConfig


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of Snakemake's `config`."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect} | ProjectConfig.model_json_schema()
