"""How long steps take, and how much of it is spent in matrix products."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dql.core.kernels.build import library
from dql.core.noise import BLOCK_STEPS

Steps = Callable[[int], None]
"""Takes that many gradient steps and returns when they are done."""

ATEN = torch.ops.aten
PRODUCTS = (ATEN.mm, ATEN.addmm, ATEN.bmm, ATEN.baddbmm, ATEN.baddbmm_)
FUSED = ("chain_forward", "chain_backward", "mlp_forward", "mlp_backward")
"""C functions that multiply, each with the activations between its products."""
INTERVAL = BLOCK_STEPS
"""Steps timed together: a block of noise, so that its drawing is always included."""


def seconds_of(steps: Steps, count: int) -> float:
    """Return the seconds that `count` steps take."""
    start = time.perf_counter()
    steps(count)
    return time.perf_counter() - start


def milliseconds_per_step(steps: Steps, budget_seconds: float = 5.0) -> float:
    """Return the best of several intervals' means, the least disturbed one."""
    return milliseconds_in_turn([steps], [INTERVAL], budget_seconds)[0]


def milliseconds_in_turn(
    jobs: Sequence[Steps], counts: Sequence[int], budget_seconds: float
) -> list[float]:
    """Return each job's milliseconds per step, from the shortest of several rounds.

    In a round one interval of every job follows the other, so that what else runs on
    the machine disturbs all alike. The best interval of each, taken apart, could come
    from moments in which the processor was not equally fast.
    """
    pairs = list(zip(jobs, counts, strict=True))
    first = sum(seconds_of(*pair) for pair in pairs)  # warms up, tells how many fit
    repeats = max(2, min(100, math.floor(budget_seconds / first)))
    rounds = [[seconds_of(*pair) for pair in pairs] for _ in range(repeats)]
    shortest = min(rounds, key=sum)
    return [s / count * 1e3 for s, count in zip(shortest, counts, strict=True)]


def products_of(device: torch.device) -> tuple[Steps, int]:
    """Return float32 products as steps, and the FLOPs of one.

    A CPU core is at its best at the networks' own size, a GPU at much larger ones.
    """
    size = 256 if device.type == "cpu" else 8192
    first, second = torch.randn(2, size, size, device=device)

    def products(count: int) -> None:
        for _ in range(count):
            torch.mm(first, second)
        synchronize(device)

    return products, 2 * size**3


def product_rate(device: torch.device) -> float:
    """Return the device's FLOP/s in its best float32 product."""
    products, flops = products_of(device)
    return flops / (milliseconds_per_step(products, 0.2) / 1e3)


def milliseconds_and_rate(
    steps: Steps, device: torch.device, budget_seconds: float = 30.0
) -> tuple[float, float]:
    """Return milliseconds per step and the FLOP/s of products measured in turn."""
    products, flops = products_of(device)
    products(1)
    window, one = seconds_of(steps, INTERVAL), seconds_of(products, 3) / 3
    count = max(1, round(window / one))
    step, product = milliseconds_in_turn(
        [steps, products], [INTERVAL, count], budget_seconds
    )
    return step, flops / (product / 1e3)


class ProductClock(TorchDispatchMode):
    """Add up the seconds inside matrix products and fused kernels, both passes."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.seconds = 0.0
        kernels = library()
        names = FUSED if kernels else ()
        self._kernels = kernels
        self._originals = {name: getattr(kernels, name) for name in names}

    def __enter__(self):
        for name, function in self._originals.items():
            setattr(self._kernels, name, self._timed(function))
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        for name, function in self._originals.items():
            setattr(self._kernels, name, function)
        super().__exit__(*exception)

    def _timed(self, function: Callable) -> Callable:
        def call(*args):
            start = time.perf_counter()
            function(*args)
            self.seconds += time.perf_counter() - start

        return call

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation; if it is a product, time it."""
        kwargs = kwargs or {}
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **kwargs)
        synchronize(self.device)
        start = time.perf_counter()
        result = func(*args, **kwargs)
        synchronize(self.device)
        self.seconds += time.perf_counter() - start
        return result


def product_milliseconds(
    steps: Steps, device: torch.device, *, count: int = 5, repeats: int = 4
) -> float:
    """Return the time per step inside matrix products, the best of several means."""
    means = []
    for _ in range(repeats):
        with ProductClock(device) as clock:
            steps(count)
        means.append(clock.seconds / count * 1e3)
    return min(means)


def synchronize(device: torch.device) -> None:
    """Wait for a GPU's queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
