"""Stepping a batch of episodes against Gymnasium's own vector API, as a ratio.

python benchmarks/environments.py [--episodes E] [--steps T] steps the evaluation
environments of one task per family and, in turn, Gymnasium's environment of the same
name in a `SyncVectorEnv`, with the same random actions. Locomotion is Gymnasium's code
on the same model. The others differ in start states, observations or rewards
(docs/environments.md) and simulate the same bodies, the ant's joints excepted.
Gymnasium starts an episode that has ended again; ours play on, which costs the same
physics. The numbers go to results/benchmarks/environments.json.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import gymnasium_robotics
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from dql.config.project import load_project
from dql.environments.batch import make_environments
from dql.environments.locomotion import make_gymnasium
from dql.environments.robotics import KITCHEN_NOISE
from dql.files import write_json
from dql.results.provenance import machine, versions

OUTPUT = Path("results/benchmarks/environments.json")
REPEATS = 3
NOISE = {"robot_noise_ratio": KITCHEN_NOISE, "object_noise_ratio": KITCHEN_NOISE}
OPTIONS = {"FrankaKitchen-v1": NOISE}
"""With less noise on what its controller sees, the arm touches less."""

TASKS = {
    "hopper-medium-v2": "hopper",
    "walker2d-medium-v2": "walker2d",
    "halfcheetah-medium-v2": "halfcheetah",
    "antmaze-umaze-v0": "AntMaze_UMaze-v5",
    "pen-human-v1": "AdroitHandPen-v1",
    "kitchen-complete-v0": "FrankaKitchen-v1",
    "local-pointmaze-umaze": "PointMaze_UMaze-v3",
}
"""A task of each family, and Gymnasium's environment of that family."""


def gymnasium_vector(name: str, num_episodes: int) -> gymnasium.vector.VectorEnv:
    """Return Gymnasium's environments, one after the other in this process."""

    def make() -> gymnasium.Env:
        if name[0].islower():
            return make_gymnasium(name, "d4rl")
        return gymnasium.make(name, **OPTIONS.get(name, {}))

    return gymnasium.vector.SyncVectorEnv([make] * num_episodes)


def seconds(step: Callable[[np.ndarray], Any], actions: np.ndarray) -> float:
    """Return the seconds that the steps of all actions (T, E, A) take."""
    began = time.perf_counter()
    for chosen in actions:
        step(chosen)
    return time.perf_counter() - began


def measure(task: str, rival: str, num_episodes: int, num_steps: int) -> dict[str, Any]:
    """Time both in turn; the least disturbed of the repeats counts."""
    config = load_project(scale="paper").task(task)
    ours = make_environments(config, num_episodes)
    theirs = gymnasium_vector(rival, num_episodes)
    shape = (num_steps, num_episodes, ours.action_dim)
    actions = np.random.default_rng(0).uniform(-1, 1, shape)
    active = np.ones(num_episodes, dtype=bool)
    times: dict[str, list[float]] = {"ours": [], "gymnasium": []}
    for _ in range(REPEATS):
        ours.reset(range(num_episodes))
        times["ours"].append(seconds(lambda a: ours.step(a, active), actions))
        theirs.reset(seed=0)
        times["gymnasium"].append(seconds(theirs.step, actions))
    theirs.close()
    count = num_steps * num_episodes
    each = {name: min(values) / count * 1e6 for name, values in times.items()}
    return {
        "task": task,
        "gymnasium_id": rival,
        "microseconds_per_step": each,
        "speedup": each["gymnasium"] / each["ours"],
    }


def main(
    episodes: Annotated[int, typer.Option(min=1, help="Side by side.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Of each episode.")] = 200,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time every family and print the ratios; at least 1 is wanted."""
    gymnasium.register_envs(gymnasium_robotics)
    rows = [measure(task, rival, episodes, steps) for task, rival in TASKS.items()]
    table = Table(title=f"{episodes} episodes in step, microseconds per step of one")
    for column in ("task", "ours", "gymnasium", "times as fast"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for row in rows:
        each = row["microseconds_per_step"]
        numbers = f"{each['ours']:.0f}", f"{each['gymnasium']:.0f}"
        table.add_row(row["task"], *numbers, f"{row['speedup']:.2f}")
    Console().print(table)
    sizes = {"num_episodes": episodes, "num_steps": steps}
    content = {"families": rows, "sizes": sizes, "load_average": os.getloadavg()[0]}
    write_json(output, content | {"machine": machine(), "versions": versions()})


if __name__ == "__main__":
    typer.run(main)
