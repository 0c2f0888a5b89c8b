"""What an evaluation costs on this machine, by the first steps of its episodes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from time import perf_counter

from dql.agents.agent import Agent
from dql.config.schema import RunConfig
from dql.environments.batch import make_environments
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import evaluate

NUM_TIMED = {"cpu": 4, "cuda": 20}
"""Steps of the episodes, behind a first one."""
MAX_EPISODES = 10
"""Timed on a processor, whose time grows with the episodes, where a run has more."""


def num_evaluations(run: RunConfig) -> int:
    """Return how often a run is evaluated: at intervals, and at its end."""
    training = run.training
    return math.ceil(training.num_gradient_steps / training.evaluation_interval)


def seconds_per_evaluation(
    agent: Agent, run: RunConfig, clock: Callable[[], float] = perf_counter
) -> float:
    """Return those of one run of a block, at most: as if every episode lasted.

    Episodes of a policy that falls end before their horizon.
    """
    task, on_gpu = run.environment, agent.spec.device.type == "cuda"
    num_episodes = run.training.num_evaluation_episodes
    counted = num_episodes
    if not on_gpu and task.horizon > 1:
        counted = min(num_episodes, MAX_EPISODES)
    decisions = RecordedDecisions(agent) if on_gpu else None
    num_threads = (os.cpu_count() or 1) if on_gpu else 1

    def play(num_steps: int) -> float:
        short = task.model_copy(update={"horizon": num_steps})
        environments = [make_environments(short, counted) for _ in agent.spec.seeds]
        start = clock()
        evaluate(agent, environments, 0, num_threads=num_threads, decisions=decisions)
        return clock() - start

    num_timed = min(NUM_TIMED[agent.spec.device.type], task.horizon - 1)
    play(1 + num_timed)  # compiles kernels, or records decisions
    seconds = play(1)
    if num_timed:
        per_step = max(play(1 + num_timed) - seconds, 0.0) / num_timed
        seconds += per_step * (task.horizon - 1)
    return seconds * num_episodes / counted / agent.spec.num_runs
