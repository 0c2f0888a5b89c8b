"""The state of a workflow: jobs that run, jobs that are done, the time left."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from dql.bars import ProgressLine
from dql.console.job_logs import last_progress

MIN_DONE = 3
"""Finished jobs below which the time left is not guessed."""


@dataclass(frozen=True)
class Job:
    """A job that runs or ran: its rule, what it says it does, its files, its start."""

    rule: str
    title: str
    logs: tuple[str, ...]
    outputs: tuple[str, ...]
    began: float

    def progress(self) -> ProgressLine | None:
        """Return how far the job's log says it is."""
        return last_progress(self.logs)


@dataclass
class Board:
    """What runs and what is done; `now` returns seconds of a clock that only rises.

    One thread tells it and another one draws it: `running` is replaced, never changed.
    """

    now: Callable[[], float] = time.monotonic
    running: dict[int, Job] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    total: int = 0
    most_at_once: int = 1

    def __post_init__(self) -> None:
        self.began = self.now()
        self._left: dict[str, int] = {}
        self._seconds: dict[str, list[float]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.now() - self.began

    def plan(self, counts: Mapping[str, int]) -> None:
        """Take how many jobs of each rule are to be run, and their `total`."""
        self._left = {rule: n for rule, n in counts.items() if rule != "total"}
        self.total = sum(self._left.values())

    def start(
        self,
        job_id: int,
        rule: str,
        title: str,
        logs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        """Take a job that starts; one that is tried again starts anew."""
        job = Job(rule, title, tuple(logs), tuple(outputs), self.now())
        self.running = {**self.running, job_id: job}
        self.most_at_once = max(self.most_at_once, len(self.running))

    def finish(self, job_id: int) -> Job | None:
        """Take a job that is done; return it, None where its start was not seen."""
        self.done += 1
        job = self._take(job_id)
        if job is not None:
            self._left[job.rule] = self._left.get(job.rule, 1) - 1
            self._seconds.setdefault(job.rule, []).append(self.now() - job.began)
        return job

    def fail(self, job_id: int) -> Job | None:
        """Take a job that failed; return it, None where its start was not seen."""
        self.failed += 1
        return self._take(job_id)

    def _take(self, job_id: int) -> Job | None:
        others = dict(self.running)
        job = others.pop(job_id, None)
        self.running = others
        return job

    def seconds_left(self, progress: Mapping[int, ProgressLine | None]) -> float | None:
        """Guess the seconds until all is done; None before enough is known.

        A job lasts as long as the mean of its rule's jobs, and what is left is shared
        by as many as have run at once.
        """
        if self.done < MIN_DONE or not self._seconds:
            return None
        jobs = self.running
        left = {
            job_id: float(line.left)
            for job_id, line in progress.items()
            if line is not None and line.left is not None and job_id in jobs
        }
        usual = self._usual_seconds({jobs[job_id]: left[job_id] for job_id in left})
        for job_id, job in jobs.items():
            left.setdefault(job_id, max(0.0, usual[job.rule] - self._spent(job)))
        waiting = Counter(self._left)
        waiting.subtract(job.rule for job in jobs.values())
        ahead = sum(max(0, count) * usual[rule] for rule, count in waiting.items())
        shared = (ahead + sum(left.values())) / self.most_at_once
        return max([shared, *left.values()])

    def _usual_seconds(self, left: Mapping[Job, float]) -> Mapping[str, float]:
        """Return how long a rule's jobs take, by those done and those that say it."""
        seconds = {rule: list(times) for rule, times in dict(self._seconds).items()}
        for job, rest in left.items():
            seconds.setdefault(job.rule, []).append(self._spent(job) + rest)
        overall = mean(time for times in seconds.values() for time in times)
        means = {rule: mean(times) for rule, times in seconds.items()}
        return defaultdict(lambda: overall, means)

    def _spent(self, job: Job) -> float:
        return self.now() - job.began
