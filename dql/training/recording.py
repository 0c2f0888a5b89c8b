"""Calls that are recorded once as CUDA graphs and launched whole from then on.

The networks are so small that a GPU waits for Python between operations; a graph
launches all operations of a call at once. What a recorded call reads and writes lies in
place: inputs are copied to where they were, outputs hold until it is next taken.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

WARM_UPS = 3
"""Calls taken before one is recorded: libraries set themselves up in them."""

CAPTURE = Lock()
"""While one thread records, none may begin to: that waits for the whole device."""

Call = Callable[[], Any]


def place_inputs(
    places: dict[str, Tensor], values: dict[str, Tensor], device: torch.device
) -> None:
    """Copy values to where a call reads them on the device, from the first time on."""
    for name, value in values.items():
        if name not in places:
            places[name] = torch.empty_like(value, device=device)
        places[name].copy_(value, non_blocking=True)


class RecordedCalls:
    """Takes named calls on a GPU; from the fourth of a name on, by its recording.

    Where a call cannot be recorded, all go on one by one, and the log says why.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.recordings: dict[Hashable, tuple[Call, Any]] = {}
        self.num_taken: Counter[Hashable] = Counter()
        self.is_possible = True

    def take(self, name: Hashable, call: Call) -> Any:
        """Return what the call returns; calls of a name run the same operations."""
        self.num_taken[name] += 1
        if not self.is_possible:
            return call()
        if self.num_taken[name] <= WARM_UPS:
            return self.warm_up(call)
        if name not in self.recordings:
            try:
                self.recordings[name] = self.record(call)
            except RuntimeError as error:
                self.is_possible = False
                logger.warning(
                    "no CUDA graph of %s, going on without: %s", self.what, error
                )
                return call()
        replay, outputs = self.recordings[name]
        replay()
        return outputs

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        """Return the stream of warm-ups and recordings; each has workspaces of its own.

        More than one would keep those of the matrix products once for each.
        """
        return torch.cuda.Stream()

    def warm_up(self, call: Call) -> Any:
        """Take a call away from the main stream, as recording will."""
        main = torch.cuda.current_stream()
        self.stream.wait_stream(main)
        with torch.cuda.stream(self.stream):
            outputs = call()
        main.wait_stream(self.stream)
        return outputs

    def record(self, call: Call) -> tuple[Call, Any]:
        """Record a call without taking it; return what repeats it, and its outputs.

        A recording that fails raises and leaves the process as it was: PyTorch would
        stay on the stream whose recording is broken.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        main = torch.cuda.current_stream()
        # Other threads may go on computing; it is this one's calls that are recorded.
        mode = {"pool": pool, "capture_error_mode": "thread_local"}
        with CAPTURE:
            try:
                with torch.cuda.graph(graph, stream=self.stream, **mode):
                    outputs = call()
            except BaseException:
                torch.cuda.set_stream(main)
                _leave(pool)
                torch.cuda.synchronize()
                raise
        return graph.replay, outputs


def _leave(pool: tuple[int, int]) -> None:
    """Let memory come from where it did before a recording that failed.

    PyTorch 2.11 and before would take that recording for one that goes on, and never
    give memory back to the device again.
    """
    with suppress(RuntimeError):  # of a later PyTorch, which has left it
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
