"""The shape of what a task says of its data, and of a variant of them.

`remade-hopper-medium-expert@random_share=0.3` is a task with other rows: those of the
task before the `@`, changed as they are loaded (`dql.data.variants` says how). As with
methods, commas separate several keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from dql.agents.ranges import FINITE, NonNegative, Probability
from dql.config.fields import Count, Name, Seed, Strict, Unique, optional


def _as_tuple(values: Any) -> Any:
    """Return a list, which JSON and YAML make of a tuple, as one."""
    return tuple(values) if isinstance(values, list) else values


Range = Annotated[tuple[float, float], BeforeValidator(_as_tuple)]


class PolicyPart(Strict):
    """Transitions of one published policy, and how its actions are disturbed.

    Each episode draws its own disturbances, uniform in the given ranges.
    """

    policy: Name
    share: float = Field(gt=0, description="of the dataset's transitions")
    noise_std: Range = Field((0.0, 0.0), description="of Gaussian noise on actions")
    random_share: Range = Field((0.0, 0.0), description="of uniform random actions")


class DataVariant(Strict):
    """How the rows of a task's variant differ from those recorded.

    Fewer episodes come first, then transitions of random actions, then the noise.
    """

    episode_share: Annotated[float, Field(gt=0, le=1), FINITE] = Field(
        1.0, description="of the episodes, kept whole; a smaller share is part of it"
    )
    random_share: Probability = Field(
        0.0,
        description="of the transitions, replaced by those of uniform random actions "
        "in the same simulator",
    )
    action_noise: NonNegative = Field(
        0.0, description="deviation of what is added to recorded actions, then clipped"
    )
    reward_noise: NonNegative = Field(
        0.0, description="of what is added to rewards, in deviations of the rewards"
    )
    observation_noise: NonNegative = Field(
        0.0, description="of what is added to observations, in their own deviations"
    )
    seed: Seed = Field(
        0,
        description="of the noise and of the episodes that stay; runs' seeds share the "
        "rows",
    )

    @model_validator(mode="after")
    def _change_something(self) -> DataVariant:
        if self.model_copy(update={"seed": 0}) == DataVariant.model_construct():
            raise ValueError("changes nothing; leave it off, or give a share or noise")
        return self


class DatasetConfig(Strict):
    """Where the transitions of a task come from."""

    source: Literal["bandit", "local", "remade", "d4rl", "minari", "file"]
    path: str | None = optional(
        pattern=r"^[^{}\x00-\x1f]+\.npz$",
        description="of source file, from the folder that holds workflow/",
    )
    id: str | None = Field(None, description="of a dataset that Minari publishes")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^\s@?#]+/[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="kept in results and logs: no credentials, no query",
    )
    mirrors: Unique[Annotated[str, Field(pattern=r"^https?://[^\s@?#]+[^\s@?#/]$")]] = (
        Field(
            [],
            exclude=True,  # where a copy was fetched from is no part of a run
            description="folders of other hosts that have the file under its own name",
        )
    )
    sha256: str | None = Field(None, description="None: the digest is not known")
    num_bytes: Count | None = None
    quality: Literal["random", "medium", "medium-replay", "medium-expert"] | None = None
    seed: Seed = 0
    num_transitions: Count | None = Field(None, description="None: all there are")
    parts: list[PolicyPart] | None = optional(
        description="of remade data: the published policies behind them",
    )
    multistart: bool | None = optional(
        description="of remade AntMaze data: walks begin anywhere, not in one cell",
    )
    multigoal: bool | None = optional(
        description="of remade AntMaze data: they lead anywhere, not to marked cells",
    )
    variant: DataVariant | None = optional(description="of a task named TASK@KEY=VALUE")


def base_task(task: str) -> str:
    """Return the task whose recorded rows a variant is made of; of others, itself."""
    return task.partition("@")[0]


def is_varied(task: str) -> bool:
    """Tell whether a task's name is that of a variant of another's data."""
    return "@" in task


def random_task(environment: str) -> str:
    """Return the name of the task whose data are random actions' in an environment."""
    return f"local-{environment}-random"
