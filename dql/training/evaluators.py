"""When a block is evaluated: between two gradient steps, or beside those that follow.

On a processor both would share the cores. On a GPU an evaluation waits for physics most
of the time, and training for neither: it goes on while a copy of the policies plays.
The numbers are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event
from typing import NamedTuple

import torch

from dql.agents.agent import Agent
from dql.environments.batch import BatchEnvironment
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import Evaluation, evaluate
from dql.training.recording import RecordedCalls


class Evaluated(NamedTuple):
    """What the runs of a block played after a step; `excluded` runs did not."""

    step: int
    excluded: Sequence[int]
    evaluations: list[Evaluation]


class EvaluatorBetweenSteps:
    """Evaluates the agent itself, which does not train meanwhile."""

    def __init__(
        self, agent: Agent, environments: Sequence[BatchEnvironment], num_threads: int
    ) -> None:
        self.agent, self.environments = agent, environments
        self.num_threads = num_threads
        self.decisions: RecordedDecisions | None = None
        self._evaluated: Evaluated | None = None

    def __enter__(self) -> EvaluatorBetweenSteps:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    @property
    def is_pending(self) -> bool:
        """Tell whether an evaluation has begun that has not been taken."""
        return self._evaluated is not None

    def start(self, step: int, excluded: Sequence[int]) -> None:
        """Evaluate the policies as they are after a step."""
        self._evaluated = self._evaluate(step, excluded)

    def take(self, *, waits: bool) -> Evaluated | None:
        """Hand out an evaluation once; None where there is none (yet)."""
        evaluated, self._evaluated = self._evaluated, None
        return evaluated

    def _evaluate(
        self, step: int, excluded: Sequence[int], cancelled: Event | None = None
    ) -> Evaluated:
        evaluations = evaluate(
            self.agent,
            self.environments,
            step,
            excluded,
            self.num_threads,
            decisions=self.decisions,
            cancelled=cancelled,
        )
        return Evaluated(step, excluded, evaluations)


class EvaluatorBesideTraining(EvaluatorBetweenSteps):
    """Evaluates a copy of the agent in a thread and, on a GPU, a stream of its own."""

    def __init__(
        self,
        agent: Agent,
        environments: Sequence[BatchEnvironment],
        num_threads: int,
        calls: RecordedCalls | None = None,
    ) -> None:
        twin = copy.deepcopy(agent)
        twin.optimizers = {}
        super().__init__(twin, environments, num_threads)
        self.trained = agent
        self.decisions = RecordedDecisions(twin, calls)
        on_gpu = agent.spec.device.type == "cuda"
        self.stream = torch.cuda.Stream() if on_gpu else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="evaluation")
        self._future: Future[Evaluated] | None = None
        self._cancelled = Event()

    def __exit__(self, *exception: object) -> None:
        """Let go of an evaluation that nobody will ask for."""
        self._cancelled.set()
        self._pool.shutdown()

    @property
    def is_pending(self) -> bool:
        """Tell whether an evaluation has begun that has not been taken."""
        return self._future is not None

    def start(self, step: int, excluded: Sequence[int]) -> None:
        """Copy the weights as they are after a step, and begin to evaluate them."""
        if self._future is not None:
            raise RuntimeError("the evaluation before has not been taken")
        self._copy_weights()
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream())
        self._future = self._pool.submit(self._evaluate_aside, step, list(excluded))

    def take(self, *, waits: bool) -> Evaluated | None:
        """Hand out an evaluation once; None where there is none (yet)."""
        if self._future is None or not (waits or self._future.done()):
            return None
        future, self._future = self._future, None
        return future.result()

    @torch.no_grad()
    def _copy_weights(self) -> None:
        for name, module in self.trained.modules.items():
            places = list(self.agent.modules[name].parameters())
            if places:
                torch._foreach_copy_(places, list(module.parameters()))

    def _evaluate_aside(self, step: int, excluded: Sequence[int]) -> Evaluated:
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            return self._evaluate(step, excluded, self._cancelled)


def make_evaluator(
    agent: Agent, environments: Sequence[BatchEnvironment], num_threads: int
) -> EvaluatorBetweenSteps:
    """Return the evaluator of the agent's device."""
    is_beside = agent.spec.device.type == "cuda"
    kind = EvaluatorBesideTraining if is_beside else EvaluatorBetweenSteps
    return kind(agent, environments, num_threads)
