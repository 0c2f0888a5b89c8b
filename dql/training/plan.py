"""What a scale would train, and what that costs on this machine, before it is spent.

Gradient steps of every distinct kind of run are timed here, up to the last 80 of each:
same agent, dimensions, block size and device as the run itself, on random transitions.
Of evaluations a few steps are timed, too, and counted apart: as many as the episodes
could last. Neither downloads nor making local data are in the estimate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from dql import paths
from dql.agents.agent import Agent, AgentSpec
from dql.agents.registry import SETTINGS, agent_class
from dql.agents.sharing import NUMERIC_SETTINGS
from dql.bars import progress_bar
from dql.config.blocks import block_size
from dql.config.project import Project
from dql.config.schema import RunConfig
from dql.core.batch import RowStore
from dql.core.noise import BLOCK_STEPS, NoiseStreams
from dql.core.windows import make_row_store
from dql.environments.batch import make_environments
from dql.results.files import UnusableRunError, read_json
from dql.training.evaluation_cost import num_evaluations, seconds_per_evaluation
from dql.training.gradient_steps import make_steps, training_streams

Clock = Callable[[], float]

NUM_TRANSITIONS = 1000
NUM_BLOCKS = 4
ENOUGH_SECONDS = 5.0
FREE_SETTINGS = (*NUMERIC_SETTINGS, "learning_rate", "critic_learning_rate")
"""Settings whose value does not change what a step costs, unless it is absent or 0."""

Kind = Callable[[RunConfig, int], str]
"""Names the kind of a run in a block of so many."""


@dataclass
class Work:
    """The unfinished runs of a suite by one method, and their cost."""

    suite: str
    method: str
    num_runs: int = 0
    num_finished: int = 0
    num_gradient_steps: int = 0
    hours: float = 0.0
    evaluation_hours: float = 0.0  # at most
    checkpoint_bytes: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def add(self, run: RunConfig, cost: Cost) -> None:
        """Add an unfinished run of the suite by the method."""
        steps = run.training.num_gradient_steps
        self.num_gradient_steps += steps
        self.hours += steps * cost.seconds_per_step / 3600
        seconds = num_evaluations(run) * cost.seconds_per_evaluation
        self.evaluation_hours += seconds / 3600
        self.checkpoint_bytes += cost.checkpoint_bytes
        self.milliseconds.append(1e3 * cost.seconds_per_step)


@dataclass(frozen=True)
class Cost:
    """What one run of a block costs per step, and its checkpoint."""

    seconds_per_step: float
    checkpoint_bytes: int
    seconds_per_evaluation: float = 0.0  # at most


def make_works(
    project: Project,
    device: torch.device,
    key: Kind | None = None,
    *,
    evaluates: bool = False,
) -> list[Work]:
    """Return the work of every method in every suite of the scale.

    Of the runs that `key` names alike, one is timed; by default those of equal cost.
    Evaluations are timed as well where asked.
    """
    name_kind = key or cost_key
    works: dict[tuple[str, str], Work] = {}
    unfinished: list[tuple[Work, RunConfig, str]] = []
    kinds: dict[str, tuple[RunConfig, int]] = {}
    for names in project.runs():
        run = project.run_config(*names)
        work = works.setdefault((run.suite, run.method), Work(run.suite, run.method))
        work.num_runs += 1
        if is_stored(run):
            work.num_finished += 1
            continue
        size = block_size(project, run.task, run.method)
        kind = name_kind(run, size)
        kinds.setdefault(kind, (run, size))
        unfinished.append((work, run, kind))
    costs = _measured(kinds, device, evaluates=evaluates)
    for work, run, kind in unfinished:
        work.add(run, costs[kind])
    return list(works.values())


def _measured(
    kinds: dict[str, tuple[RunConfig, int]], device: torch.device, *, evaluates: bool
) -> dict[str, Cost]:
    """Time one run of every kind, in a block of so many, and show how far that is."""
    costs = {}
    with progress_bar("Time every kind of run", len(kinds)) as advance:
        for kind, (run, size) in kinds.items():
            costs[kind] = measure(run, size, device, evaluates=evaluates)
            advance(1)
    return costs


def is_stored(run: RunConfig) -> bool:
    """Tell whether the run has finished with this configuration; code aside."""
    folder = paths.run_directory(run.task, run.method, run.seed)
    if not (folder / paths.PROVENANCE_FILE).is_file():
        return False
    try:
        stored = read_json(folder / paths.CONFIG_FILE)
    except UnusableRunError:
        return False
    return decisive(stored) == decisive(run.model_dump(mode="json"))


def decisive(config: dict[str, Any]) -> dict[str, Any]:
    """Leave off what only names a run."""
    return {k: v for k, v in config.items() if k not in ("label", "scale")}


def cost_key(run: RunConfig, block_size: int) -> str:
    """Name what decides the costs of a run: those of equal keys are timed once."""
    settings = {
        name: bool(value) if name in FREE_SETTINGS else value
        for name, value in run.settings.items()
    }
    environment = run.environment.environment
    played = run.environment.horizon, run.training.num_evaluation_episodes
    sizes = run.training.batch_size, block_size, *played
    values = [run.agent, environment, *sizes, settings]
    return json.dumps(values, sort_keys=True)


def measure(
    run: RunConfig,
    block_size: int,
    device: torch.device,
    clock: Clock = perf_counter,
    *,
    evaluates: bool = False,
) -> Cost:
    """Time the last steps of a block of such runs; cost is of one run of it.

    By then an agent that clones or learns models first is through with that.
    """
    environment = make_environments(run.environment, 1)
    dims = environment.observation_dim, environment.action_dim
    ends = run.environment.horizon == 1
    dataset = random_dataset(*dims, ends=ends)
    settings = SETTINGS[run.agent](**run.settings)
    windows = agent_class(run.agent).windows(settings)
    store = make_row_store([dataset], [0] * block_size, windows, device)
    agent = build_agent(run.agent, [settings] * block_size, store, device)
    state = agent.state().values()
    size = sum(tensor.numel() * tensor.element_size() for tensor in state)
    steps = make_steps(agent, store)
    streams = training_streams(agent, store, run.training.batch_size)
    first = run.training.num_gradient_steps // BLOCK_STEPS - NUM_BLOCKS
    seconds = seconds_per_step(steps.take, streams, device, clock, max(first, 0))
    evaluation = seconds_per_evaluation(agent, run) if evaluates else 0.0
    return Cost(seconds / block_size, size // block_size, evaluation)


def random_dataset(
    observation_dim: int,
    action_dim: int,
    *,
    ends: bool = False,
    size: int = NUM_TRANSITIONS,
) -> SimpleNamespace:
    """Return one random episode; with `ends`, each row is one of its own."""
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((size, observation_dim), dtype=np.float32)
    terminations = np.full(size, float(ends), dtype=np.float32)
    terminations[-1] = 1.0
    return SimpleNamespace(
        observations=observations,
        actions=generator.uniform(-1, 1, (size, action_dim)),
        rewards=generator.standard_normal(size, dtype=np.float32),
        next_observations=np.roll(observations, -1, axis=0),
        terminations=terminations,
    )


def build_agent(
    name: str, settings: list, store: RowStore, device: torch.device
) -> Agent:
    """Build an agent for the store's dimensions, with seeds 0 to R - 1."""
    spec = AgentSpec.of(store, range(len(settings)), device)
    return agent_class(name)(spec, settings)


def seconds_per_step(
    take, streams: NoiseStreams, device: torch.device, clock: Clock, first: int = 0
) -> float:
    """Return the best mean of a few blocks of noise, from `first` on, that left out.

    Long ones are as exact in smaller number, and a start is little of a long first one.
    """
    means: list[float] = []
    for block in range(first, first + NUM_BLOCKS):
        if sum(means) * BLOCK_STEPS > ENOUGH_SECONDS:
            break
        start = clock()
        for step in range(block * BLOCK_STEPS, (block + 1) * BLOCK_STEPS):
            take(step, streams.at(step))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        means.append((clock() - start) / BLOCK_STEPS)
    return min(means[1:] or means)


def totals(works: Iterable[Work]) -> Work:
    """Add everything up."""
    total = Work("all", "")
    for work in works:
        for name in asdict(total):
            if name not in ("suite", "method", "milliseconds"):
                setattr(total, name, getattr(total, name) + getattr(work, name))
    return total
