"""What a run measures while it trains: metrics, episodes, seconds."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from dql.training.evaluation import Evaluation


@dataclass
class Records:
    """What a run has measured so far, and what that took.

    `pending` holds the metrics' sums and counts since the last logged step; `sessions`
    how its steps were made: an entry for each machine, device or set of versions, with
    the step it began at.
    """

    metrics: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[list[float]] = field(default_factory=list)
    samples: list[list[float]] = field(default_factory=list)
    pending: dict[str, tuple[float, int]] = field(default_factory=dict)
    wall_seconds: float = 0.0
    training_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    sessions: list[dict[str, Any]] = field(default_factory=list)
    saved_at: str = ""

    def add_session(self, first_step: int, made: dict[str, Any]) -> None:
        """Note how the steps from `first_step` on are made, unless as those before."""
        last = self.sessions[-1] if self.sessions else {}
        if last != {"first_step": last.get("first_step"), **made}:
            self.sessions.append({"first_step": first_step, **made})

    def add_cost(self, training_seconds: float, wall_seconds: float, gpu: bool) -> None:
        """Add what the steps since the last state took; it is saved now."""
        self.training_seconds += training_seconds
        self.wall_seconds += wall_seconds
        self.gpu_seconds += wall_seconds if gpu else 0.0
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak_memory_bytes())
        self.saved_at = datetime.now(UTC).isoformat(timespec="seconds")

    def add_evaluation(self, evaluation: Evaluation, step: int) -> None:
        """Append every episode; keep the actions of the last evaluation."""
        episodes = zip(
            evaluation.episode_returns, evaluation.episode_lengths, strict=True
        )
        for episode, (episode_return, length) in enumerate(episodes):
            self.evaluations.append([step, episode, float(episode_return), int(length)])
        columns = [evaluation.first_actions, evaluation.first_rewards[:, None]]
        self.samples = np.concatenate(columns, axis=1).tolist()


def peak_memory_bytes() -> int:
    """Return the largest memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


class Clock:
    """Seconds since the last reading: in gradient steps, and in all."""

    def __init__(self) -> None:
        self._began = self._resumed = time.perf_counter()
        self._training = 0.0

    def stop_training(self) -> None:
        """Take the time since `start_training` for training."""
        self._training += time.perf_counter() - self._resumed

    def start_training(self) -> None:
        """Go on with gradient steps."""
        self._resumed = time.perf_counter()

    def read_and_reset(self) -> tuple[float, float]:
        """Return (training, wall) seconds and start from zero."""
        self.stop_training()
        training, wall = self._training, time.perf_counter() - self._began
        self.__init__()
        return training, wall


class MetricSums:
    """Means of metrics over an interval, added on the device without waiting."""

    def __init__(self, pending: Sequence[dict[str, tuple[float, int]]] = ()) -> None:
        names = pending[0] if pending else {}
        self.sums = {n: torch.tensor([p[n][0] for p in pending]) for n in names}
        self.counts = {n: pending[0][n][1] for n in names}

    def add(self, metrics: dict[str, torch.Tensor]) -> None:
        """Add one step's metrics; a metric may be absent from some steps.

        The next step may write into the same tensors, so no sum is one of them.
        """
        for name, value in metrics.items():
            known = name in self.sums
            self.sums[name] = (
                self.sums[name].to(value) + value if known else value.clone()
            )
            self.counts[name] = self.counts.get(name, 0) + 1

    def of_run(self, run: int) -> dict[str, tuple[float, int]]:
        """Return a run's sums and counts so far, exact in JSON."""
        return {n: (float(s[run]), self.counts[n]) for n, s in self.sums.items()}

    def means_and_reset(self) -> dict[str, np.ndarray]:
        """Return each metric's mean, (R,), and start the next interval."""
        means = {n: (s / self.counts[n]).cpu().numpy() for n, s in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means
