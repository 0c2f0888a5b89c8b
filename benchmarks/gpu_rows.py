"""What a gradient step costs on a GPU: recorded, operation by operation, in TF32.

Inside a replayed graph nothing can be timed from outside, so the kernels' own times
come from PyTorch's profiler. Windows are long and waited for once, as in training,
where the noise of the next steps is drawn while the last ones compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from core_step import Dimensions, make_core
from timing import Steps, milliseconds_in_turn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

WINDOWS = {"cuda": (200, 40), "cpu": (10, 5)}
"""Steps timed together, recorded and operation by operation; the latter are profiled.

On a processor this is a rehearsal.
"""
NUM_KERNELS = 15
"""Kernels that are listed, those that take longest."""
PRODUCTS = (
    "gemm",
    "gemv",
    "cutlass",
    "nvjet",
    "splitK",
    "bmm",
    "addmm",
    "aten::mm",
)
"""Parts of the names of kernels that multiply matrices."""


def measure_ways(
    dims: Dimensions, num_runs: int, device: torch.device, seconds: float
) -> dict[str, Any]:
    """Return the milliseconds of a step of R runs in every way, and its kernels."""
    recorded = make_core(dims, num_runs, device)
    eager = make_core(dims, num_runs, device, is_recorded=False)
    windows = WINDOWS[device.type]
    times = milliseconds_in_turn([recorded, eager], windows, seconds)
    kernels = kernel_table(recorded, device, windows[1])
    busy = sum(row["microseconds"] for row in kernels) / 1e3
    products = sum(row["microseconds"] for row in kernels if row["is_product"]) / 1e3
    with tf32():
        rounded = make_core(dims, num_runs, device)
        (in_tf32,) = milliseconds_in_turn([rounded], windows[:1], seconds / 2)
    return {
        "milliseconds": times[0],
        "milliseconds_per_run": times[0] / num_runs,
        "milliseconds_eager": times[1],
        "milliseconds_tf32": in_tf32,
        "milliseconds_of_kernels": busy,
        "kernels_per_step": sum(row["calls"] for row in kernels),
        "share_outside_products": 1 - products / busy if busy else 0.0,
        "kernels": kernels[:NUM_KERNELS],
    }


def kernel_table(
    steps: Steps, device: torch.device, count: int
) -> list[dict[str, Any]]:
    """Return each kernel's calls and microseconds per step, the longest first.

    On a processor these are PyTorch's operations.
    """
    on_gpu = device.type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        steps(count)
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    rows = []
    for event in profiler.key_averages():
        time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if event.device_type == wanted and time > 0:
            rows.append(
                {
                    "name": event.key[:120],
                    "calls": event.count / count,
                    "microseconds": time / count,
                    "is_product": any(part in event.key for part in PRODUCTS),
                }
            )
    return sorted(rows, key=lambda row: row["microseconds"], reverse=True)


@contextmanager
def tf32() -> Iterator[None]:
    """Let a GPU round the inputs of its products to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def gpu_ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return what company costs on a GPU, and what recording and TF32 save."""
    ratios = {}
    on_gpu = [row for row in rows if "milliseconds_eager" in row]
    for name in dict.fromkeys(row["dimensions"] for row in on_gpu):
        by_runs = {r["num_runs"]: r for r in on_gpu if r["dimensions"] == name}
        if {1, 6} <= set(by_runs):
            six, one = by_runs[6]["milliseconds"], by_runs[1]["milliseconds"]
            ratios[f"six runs over one, {name}"] = six / one
        for num_runs, row in by_runs.items():
            recorded, eager = row["milliseconds"], row["milliseconds_eager"]
            what = f"{name}, R = {num_runs}"
            ratios[f"eager over recorded, {what}"] = eager / recorded
            ratios[f"float32 over TF32, {what}"] = recorded / row["milliseconds_tf32"]
    return ratios
