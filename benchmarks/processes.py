"""What the gradient step's benchmark measures in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from core_step import DIMENSIONS, make_core
from timing import INTERVAL, milliseconds_per_step

from dql.training.process import keep_freed_memory

CPU = torch.device("cpu")
SECONDS_SIDE_BY_SIDE = 4.0


def count_steps(barrier: Any, rates: Any) -> None:
    """Put one process's steps per second into a queue, when all are ready."""
    torch.set_num_threads(1)
    keep_freed_memory()
    steps = make_core(DIMENSIONS["hopper"], 1, CPU)
    steps(INTERVAL)
    barrier.wait()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS_SIDE_BY_SIDE:
        steps(INTERVAL)
        count += INTERVAL
    rates.put(count / (time.perf_counter() - start))


def steps_per_second(num_processes: int) -> float:
    """Return the steps per second of processes side by side, one thread each."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(num_processes), context.SimpleQueue()
    processes = [
        context.Process(target=count_steps, args=(barrier, rates))
        for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process of the benchmark failed; see its message above")
    return sum(rates.get() for _ in processes)


def two_processes_over_one(num_rounds: int = 2) -> float:
    """Return the ratio of the best rates of both, measured in turn."""
    best = {1: 0.0, 2: 0.0}
    for _ in range(num_rounds):
        for number in best:
            best[number] = max(best[number], steps_per_second(number))
    return best[2] / best[1]


def put_milliseconds(results: Any) -> None:
    """Put one process's milliseconds per step into a queue."""
    torch.set_num_threads(1)
    keep_freed_memory()
    results.put(milliseconds_per_step(make_core(DIMENSIONS["hopper"], 1, CPU)))


def milliseconds_without_kernels() -> float:
    """Return the step's time in a process that does not use the C kernels."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    with changed_environment(DQL_KERNELS="off"):
        process = context.Process(target=put_milliseconds, args=(results,))
        process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("a process of the benchmark failed; see its message above")
    return results.get()


def startup_seconds() -> float:
    """Return what a new process needs to its first step, kernels not yet compiled."""
    code = (
        "import torch; from core_step import DIMENSIONS, make_core;"
        "make_core(DIMENSIONS['hopper'], 1, torch.device('cpu'))(1)"
    )
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            cwd=Path(__file__).parent,
            env=os.environ | {"XDG_CACHE_HOME": cache},
        )
        return time.perf_counter() - start


@contextmanager
def changed_environment(**changes: str) -> Iterator[None]:
    """Set environment variables for the processes started inside."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
