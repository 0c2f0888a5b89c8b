"""Stepping a batch of episodes against Gymnasium's own vector API, as a ratio.

python benchmarks/environments.py [--episodes E] [--steps T] steps the evaluation
environments of one task per family and, in turn, Gymnasium's environment of the same
name in a `SyncVectorEnv`, with the same random actions. Locomotion is Gymnasium's code
on the same model. The others differ in start states, observations or rewards
(docs/environments.md) and simulate the same bodies, the ant's joints excepted.
Gymnasium starts an episode that has ended again; ours play on, which costs the same
physics.

Then 100 episodes of one run of AntMaze are evaluated by untrained policies, in one
thread, in several that take turns in the simulator, and in several that share it, as
`dql.training.evaluation` lets them. The numbers go to
results/benchmarks/environments.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import gymnasium_robotics
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from storage import store

from dql.agents.agent import Agent
from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.core.batch import TransitionStore
from dql.environments.batch import BatchEnvironment, make_environments
from dql.environments.locomotion import make_gymnasium
from dql.environments.robotics import KITCHEN_NOISE
from dql.results.provenance import machine
from dql.training.evaluation import evaluate
from dql.training.plan import build_agent, random_dataset

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
MAZE_TASK = "antmaze-umaze-v0"
MAZE_EPISODES = 100
"""Of an evaluation, as the paper has them."""
MAZE_METHODS = ("td3_bc", "bc_diffusion", "diffusion_ql")
"""From a policy of microseconds to one that costs more than the physics."""


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


def untrained(method: str, environment: BatchEnvironment) -> Agent:
    """Return an agent of one run, with the settings of its task."""
    dataset = random_dataset(environment.observation_dim, environment.action_dim)
    store = TransitionStore([dataset], [0], torch.device("cpu"))
    values = load_project(scale="paper").settings(MAZE_TASK, method)
    settings = SETTINGS[method](**values)
    return build_agent(method, [settings], store, torch.device("cpu"))


def measure_evaluation(
    method: str, num_threads: int, num_episodes: int, num_steps: int
) -> dict[str, Any]:
    """Time an evaluation in the three ways, in turn; the least disturbed counts."""
    task = load_project(scale="paper").task(MAZE_TASK)
    task = task.model_copy(update={"horizon": num_steps})
    environment = make_environments(task, num_episodes)
    agent = untrained(method, environment)
    ways = {
        "one_thread": (1, True),
        "taking_turns": (num_threads, False),
        "sharing": (num_threads, True),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(REPEATS):
        for way, (threads, environment.is_shareable) in ways.items():
            began = time.perf_counter()
            evaluate(agent, [environment], 0, num_threads=threads)
            times[way].append(time.perf_counter() - began)
    best = {way: min(values) / num_steps * 1e3 for way, values in times.items()}
    return {
        "method": method,
        "task": MAZE_TASK,
        "num_threads": num_threads,
        "num_episodes": num_episodes,
        "milliseconds_per_step_of_all": best,
        "speedup": best["taking_turns"] / best["sharing"],
    }


def print_evaluations(rows: list[dict[str, Any]]) -> None:
    """Print a row for each method."""
    title = f"evaluating {MAZE_TASK}, milliseconds per step of all episodes"
    table = Table(title=title)
    ways = ("one thread", "taking turns", "sharing")
    for column in ("method", "threads", *ways, "times as fast"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in rows:
        each = row["milliseconds_per_step_of_all"].values()
        numbers = [f"{value:.1f}" for value in each]
        speedup = f"{row['speedup']:.2f}"
        table.add_row(row["method"], str(row["num_threads"]), *numbers, speedup)
    Console().print(table)


def main(
    episodes: Annotated[int, typer.Option(min=1, help="Side by side.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Of each episode.")] = 200,
    threads: Annotated[
        int | None, typer.Option(min=2, help="Of evaluations; default: every core.")
    ] = None,
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
    torch.set_num_threads(1)
    count = threads or max(2, machine()["num_cpus"])
    evaluations = [
        measure_evaluation(method, count, MAZE_EPISODES, max(1, steps // 10))
        for method in MAZE_METHODS
    ]
    print_evaluations(evaluations)
    sizes = {"num_episodes": episodes, "num_steps": steps}
    content = {"families": rows, "evaluations": evaluations, "sizes": sizes}
    store(output, content)


if __name__ == "__main__":
    typer.run(main)
