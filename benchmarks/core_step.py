"""Gradient steps of this project's Diffusion-QL at the paper's dimensions."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
from timing import Steps, synchronize

from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.core.batch import TransitionStore
from dql.training.gradient_steps import EagerSteps, make_steps, training_streams
from dql.training.plan import build_agent, random_dataset

BATCH_SIZE = 256
NUM_TRANSITIONS = 20_000
NUM_SEEDS = 6
"""Seeds of the paper's Appendix C."""


class Dimensions(NamedTuple):
    """What decides the size of a step besides batch and networks."""

    observation: int
    action: int
    max_q_backup: bool

    @property
    def num_backup_samples(self) -> int:
        """Return how many next actions the target maximises over."""
        return 10 if self.max_q_backup else 1


DIMENSIONS = {
    "hopper": Dimensions(11, 3, False),
    "halfcheetah": Dimensions(17, 6, False),
    "antmaze": Dimensions(29, 8, True),
    "kitchen": Dimensions(60, 9, False),
    "pen": Dimensions(45, 24, False),
}
SAME_DIMENSIONS = {"walker2d": "halfcheetah"}


def make_core(
    dims: Dimensions, num_runs: int, device: torch.device, *, is_recorded: bool = True
) -> Steps:
    """Return steps of R runs in lock step, on random transitions.

    Not `is_recorded`, a GPU gets them operation by operation.
    """
    dataset = random_dataset(dims.observation, dims.action, size=NUM_TRANSITIONS)
    store = TransitionStore([dataset], [0] * num_runs, device)
    settings = SETTINGS["diffusion_ql"](
        max_q_backup=dims.max_q_backup, max_gradient_norm=5.0
    )
    agent = build_agent("diffusion_ql", [settings] * num_runs, store, device)
    streams = training_streams(agent, store, BATCH_SIZE)
    taker = make_steps(agent, store) if is_recorded else EagerSteps(agent, store)
    position = 1000  # the average of the actor has started

    def steps(count: int) -> None:
        nonlocal position
        for step in range(position, position + count):
            taker.take(step, streams.at(step))
        position += count
        synchronize(device)

    return steps


def paper_steps() -> Counter[str]:
    """Count the gradient steps of one seed of the paper's twenty tasks, by dimensions.

    AntMaze's umaze, which needs no max-Q backup, is counted like the others.
    """
    steps: Counter[str] = Counter()
    for task in load_project(scale="paper").tasks.values():
        if task.dataset.source == "d4rl":
            family = task.environment.partition("-")[0]
            name = SAME_DIMENSIONS.get(family, family)
            steps[name] += task.num_gradient_steps
    return steps
