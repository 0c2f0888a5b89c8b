"""Random numbers of a run, independent of the company it trains in.

A draw is addressed by (run seed, purpose, name, block): every block of steps seeds a
fresh generator from that address. So a stream has no state to checkpoint, resuming at
a block's first step repeats it exactly, evaluation cannot disturb training, and a draw
added to an agent leaves the others as they were. Training and evaluation draw where
they compute: on a GPU a processor's generator would take longer than the steps that
wait for it. So a kind of device has noise of its own; initial weights are the same on
all.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

BLOCK_STEPS = 20
"""Steps drawn at once. Part of the streams' definition: a change changes every run."""

GPU_DRAW_SIZE = 2**15
"""Numbers drawn at once on a GPU, part of the definition there.

PyTorch deals a draw out to the threads that a GPU can hold at a time; a larger one
comes out otherwise on another model. Every GPU with 16 multiprocessors of 2048
threads, or 32 of 1024, holds as many as these.
"""


@dataclass(frozen=True)
class Draw:
    """One named random input of a step: its shape for one run and its law."""

    shape: tuple[int, ...]
    law: Literal["normal", "uniform", "integer"] = "normal"
    high: tuple[int, ...] | int = 0  # exclusive, for integers; per run where a tuple

    def sample(self, run: int, steps: int, generator: torch.Generator) -> Tensor:
        """Draw `steps` values for one run, (steps, *shape)."""
        dtype = torch.int64 if self.law == "integer" else torch.float32
        size = (steps, *self.shape)
        values = torch.empty(size, dtype=dtype, device=generator.device)
        for piece in values.view(-1).split(draw_size(values)):
            self._fill(piece, run, generator)
        return values

    def _fill(self, values: Tensor, run: int, generator: torch.Generator) -> None:
        """Draw for one run in place."""
        if self.law == "normal":
            values.normal_(generator=generator)
        elif self.law == "uniform":
            values.uniform_(generator=generator)
        else:
            high = self.high if isinstance(self.high, int) else self.high[run]
            values.random_(0, high, generator=generator)


def draw_size(values: Tensor) -> int:
    """Return how many of the values are drawn at once."""
    return values.numel() if values.is_cpu else GPU_DRAW_SIZE


def seeded_generator(
    seed: int, *address: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a device's generator for an address below a run's seed."""
    words = [zlib.crc32(a.encode()) if isinstance(a, str) else a for a in address]
    state = np.random.SeedSequence([seed, *words]).generate_state(2, np.uint32)
    generator = torch.Generator(device=device)
    return generator.manual_seed(int(state[0]) << 32 | int(state[1]))


class NoiseStreams:
    """The noise of all runs of a block, drawn `block_steps` steps ahead."""

    def __init__(
        self,
        seeds: Sequence[int],
        draws: dict[str, Draw],
        *address: int | str,
        device: torch.device | str = "cpu",
        block_steps: int = BLOCK_STEPS,
    ) -> None:
        self.block_steps = block_steps
        self.seeds = tuple(seeds)
        self.draws = draws
        self.address = address
        self.device = torch.device(device)
        self._block_index = -1
        self._block: dict[str, Tensor] = {}

    def block(self, index: int) -> dict[str, Tensor]:
        """Return the noise of one block, name -> (block_steps, runs, *shape)."""
        block = {}
        for name, draw in self.draws.items():
            runs = []
            for run, seed in enumerate(self.seeds):
                address = (*self.address, name, index)
                generator = seeded_generator(seed, *address, device=self.device)
                runs.append(draw.sample(run, self.block_steps, generator))
            block[name] = torch.stack(runs, dim=1)
        return block

    def at(self, step: int) -> dict[str, Tensor]:
        """Return the noise of one step, name -> (runs, *shape)."""
        index, offset = divmod(step, self.block_steps)
        if index != self._block_index:
            self._block, self._block_index = self.block(index), index
        return {name: values[offset] for name, values in self._block.items()}
