"""Published policies rolled out here, beside the returns their authors published.

`workflow/published/policy_returns.csv` holds those returns, and whether a policy acts
by its means or by draws where they agree (docs/environments.md). That tells whether an
environment is D4RL's in what decides a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dql import paths
from dql.behavior.rollout import Disturbance, roll_out
from dql.behavior.snapshots import ByMean, Snapshot
from dql.data.policy_weights import store_weights
from dql.data.published_policies import load_policy
from dql.environments.antmaze import AntMazeEnvironment
from dql.environments.antmaze_maps import MAZES
from dql.environments.batch import BatchEnvironment, make_environments
from dql.errors import UserError
from dql.results.published import read_rows
from dql.results.statistics import pooled_error, rate_error, standard_error

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

Acting = Literal["mean", "draws"]
NUM_GOALS = 10
EPISODES_TOGETHER = 50
"""In step, where no goal tells the batches apart."""


@dataclass(frozen=True)
class PublishedReturn:
    """What a policy's authors measured.

    `std` is over episodes, where it is known; so is how many they were: a hundred in
    AntMaze, where rates are whole hundredths.
    """

    mean: float
    std: float | None
    num_episodes: int | None
    acting: Acting
    source: str


@cache
def published_returns() -> dict[str, PublishedReturn]:
    """Return the published return of every policy that has one."""
    return {
        row["policy"]: PublishedReturn(
            mean=float(row["mean"]),
            std=float(row["std"]) if row["std"] else None,
            num_episodes=int(row["num_episodes"]) if row["num_episodes"] else None,
            acting=row["acting"],
            source=row["source"],
        )
        for row in read_rows(paths.PUBLISHED / "policy_returns.csv")
    }


@dataclass(frozen=True)
class PolicyReturns:
    """Episodes of a policy in a task's environment, and the published return."""

    policy: str
    environment: str
    physics: str
    acting: Acting
    batches: list[np.ndarray]
    """Undiscounted returns; in a maze 1 for an arrival, 0 without, a goal a batch."""
    published: PublishedReturn | None

    @property
    def returns(self) -> np.ndarray:
        """Return those of all episodes, (E,)."""
        return np.concatenate(self.batches)

    @property
    def batch_means(self) -> np.ndarray:
        """Return the mean return of each batch, in a maze the rate for each goal."""
        return np.array([batch.mean() for batch in self.batches])

    @property
    def is_rate(self) -> bool:
        """Tell whether returns are arrivals, and their mean a rate."""
        return self.environment in MAZES

    @property
    def standard_error(self) -> float:
        """Of the mean return, from the episodes' own spread; of a rate, Wilson's."""
        if self.is_rate:
            return rate_error(float(self.returns.mean()), len(self.returns))
        return standard_error(self.returns)

    @property
    def z(self) -> float | None:
        """Distance to the published mean in standard errors of ours; None without.

        Of a rate, of as many episodes at the published one: the score test.
        """
        if self.published is None or not self.is_rate:
            return self._distance(self.standard_error)
        return self._distance(pooled_error(self.published.mean, len(self.returns)))

    @property
    def z_of_both(self) -> float | None:
        """The same in standard errors of the difference; None where one is unknown.

        Of two rates, in those that both have at the rate of all their episodes.
        """
        published, ours = self.published, len(self.returns)
        if published is None or published.std is None or not published.num_episodes:
            return None
        theirs = published.num_episodes
        if self.is_rate:
            rate = (self.returns.sum() + theirs * published.mean) / (ours + theirs)
            return self._distance(pooled_error(rate, ours, theirs))
        error = np.hypot(self.standard_error, published.std / np.sqrt(theirs))
        return self._distance(error)

    def _distance(self, error: float) -> float | None:
        if self.published is None or not error:
            return None
        return float((self.returns.mean() - self.published.mean) / error)

    def content(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them."""
        published = self.published
        return {
            "policy": self.policy,
            "environment": self.environment,
            "physics": self.physics,
            "acting": self.acting,
            "num_episodes": len(self.returns),
            "batch_means": self.batch_means.tolist(),
            "mean": float(self.returns.mean()),
            "standard_error": self.standard_error,
            "published": published and vars(published),
            "z": self.z,
            "z_of_both": self.z_of_both,
        }


def measure(
    name: str,
    task: TaskConfig,
    *,
    num_episodes: int,
    num_goals: int | None = None,
    goal: tuple[float, float] | None = None,
    acting: Acting | None = None,
    seed: int = 0,
) -> PolicyReturns:
    """Roll a published policy out in a task's environment; fetch it if it is not here.

    In a maze the episodes are dealt out over goals drawn as D4RL draws them, or all go
    to the one given. Without `acting`, as in the published measurement.
    """
    sizes = _batch_sizes(task, num_episodes, num_goals, goal)
    published = published_returns().get(name)
    acting = acting or (published.acting if published else "draws")
    store_weights(name)
    policy = load_policy(name, task.environment)
    if acting == "mean":
        if not isinstance(policy, Snapshot):
            raise UserError(f"policy '{name}' has no mean to act by, only draws")
        policy = ByMean(policy)
    batches = []
    for index, size in enumerate(sizes):
        environment = _environment(task, size, goal)
        generator = np.random.default_rng([seed, index])
        episodes = roll_out(environment, policy, Disturbance.none(size), generator)
        batches.append(episodes.returns)
    if goal:
        batches = [np.concatenate(batches)]
    return PolicyReturns(
        name, task.environment, task.physics, acting, batches, published
    )


def _batch_sizes(
    task: TaskConfig,
    num_episodes: int,
    num_goals: int | None,
    goal: tuple[float, float] | None,
) -> list[int]:
    """Return the episodes of each batch, as equal as can be; bad numbers raise."""
    if num_episodes < 2:
        raise UserError(f"{num_episodes} episode has no standard error: 2 at least")
    is_maze = task.environment in MAZES
    if not is_maze and (num_goals or goal):
        raise UserError(
            f"task '{task.name}' ({task.environment}) has no goals in a maze"
        )
    if goal and num_goals not in (None, 1):
        raise UserError(f"one goal is given, {num_goals} are to be drawn: choose one")
    count = -(-num_episodes // EPISODES_TOGETHER)
    if is_maze and not goal:
        count = NUM_GOALS if num_goals is None else num_goals
    if not 1 <= count <= num_episodes:
        raise UserError(
            f"{num_episodes} episodes cannot be dealt out to {count} goals; --goals "
            "takes no more than --episodes, 1 at least"
        )
    parts = np.array_split(np.arange(num_episodes), count)
    return [len(part) for part in parts]


def _environment(
    task: TaskConfig, size: int, goal: tuple[float, float] | None
) -> BatchEnvironment:
    if goal is None:
        return make_environments(task, size)
    return AntMazeEnvironment(
        task.environment,
        size,
        horizon=task.horizon,
        physics=task.physics,
        goal=np.array(goal),
    )


def as_text(found: PolicyReturns) -> str:
    """Return the measurement as lines of text."""
    what, digits = ("success rate", 3) if found.is_rate else ("return", 1)
    means = found.batch_means
    groups = f" to {len(means)} goal(s)" if found.is_rate else ""
    acting = "by its means" if found.acting == "mean" else "by draws"
    mean, error = float(found.returns.mean()), found.standard_error
    line = f"{what} {mean:.{digits}f} ± {error:.{digits}f}"
    if found.published is None:
        line += ", none published"
    else:
        z = "unknown, no spread to count in" if found.z is None else f"{found.z:.1f}"
        line += f", published {found.published.mean:g}: z {z}"
        if found.z_of_both is not None:
            line += f"; in standard errors of both, {found.z_of_both:.1f}"
    if found.is_rate and len(means) > 1:
        line += f"\nby goal {means.min():.2f} to {means.max():.2f}"
        line += f", standard deviation {means.std(ddof=1):.2f}"
    return (
        f"{found.policy} in {found.environment}, physics {found.physics}, acting "
        f"{acting}: {len(found.returns)} episodes{groups}\n{line}"
    )
