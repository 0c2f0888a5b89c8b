"""The rows of D4RL's HDF5 files, as episodes, read block by block.

`d4rl.qlearning_dataset` reads the flat file, so only the flags decide what is trained
on: rows of a timeout are dropped, and where a file has no timeouts (Kitchen), one is
counted out every `horizon` steps, as D4RL counts. Where episodes are split for Minari
does not change those rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from dql.data.episode_checks import as_flags, check_numbers
from dql.data.minari_files import DIMENSIONS, Episode
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

REQUIRED = ("observations", "actions", "rewards", "terminals")
OPTIONAL = ("timeouts", "next_observations")
FLAGS = frozenset(("terminals", "timeouts"))
BLOCK_ROWS = 50_000

LARGEST_ANTMAZE_STEP = 2.0
"""An ant moves less than this in one step, in maze units; more is a new episode."""

Block = dict[str, np.ndarray]


def dimensions(environment: str) -> tuple[int, int]:
    """Return D4RL's observation and action dimension in an environment."""
    family = next(name for name in DIMENSIONS if environment.startswith(name))
    return DIMENSIONS[family]


def check_structure(source: h5py.File, task: TaskConfig, file: Path) -> int:
    """Return the number of rows to read; raise unless the arrays fit the task."""
    present = [*REQUIRED, *(name for name in OPTIONAL if name in source)]
    missing = [
        name for name in present if not isinstance(source.get(name), h5py.Dataset)
    ]
    if missing:
        raise UserError(f"{file} lacks the array(s) {', '.join(missing)}")
    for name in present:
        check_numbers(_dtype(source[name]), f"{file}: {name}")
    num_rows = (source["rewards"].shape or (0,))[0]
    observation_dim, action_dim = dimensions(task.environment)
    widths = {
        "observations": (observation_dim,),
        "next_observations": (observation_dim,),
        "actions": (action_dim,),
    }
    for name in present:
        shape, width = source[name].shape, widths.get(name, ())
        # D4RL accepts a column where a vector is meant.
        if shape not in {(num_rows, *width), (num_rows, *(width or (1,)))}:
            raise UserError(
                f"{file}: {name} has shape {shape}, task '{task.name}' needs "
                f"{(num_rows, *width)}"
            )
    if task.dataset.num_transitions:
        num_rows = min(num_rows, task.dataset.num_transitions)
    return num_rows


def _dtype(array: h5py.Dataset) -> np.dtype:
    """Return an array's type; one that NumPy has not is as good as bytes."""
    try:
        return array.dtype
    except TypeError:
        return np.dtype(np.void)


def blocks(source: h5py.File, task: TaskConfig, num_rows: int) -> Iterator[Block]:
    """Yield the file's rows block by block, with timeouts whether stored or not."""
    step = 0
    for first in range(0, num_rows, BLOCK_ROWS):
        rows = slice(first, min(first + BLOCK_ROWS, num_rows))
        block = {name: source[name][rows] for name in REQUIRED}
        for name in OPTIONAL:
            if name in source:
                block[name] = source[name][rows]
        block["rewards"] = block["rewards"].reshape(-1)
        for name in FLAGS.intersection(block):
            where = f"{task.name}: {name}"
            block[name] = as_flags(block[name].reshape(-1), where, first)
        if "timeouts" not in block:
            timeouts, step = counted_timeouts(block["terminals"], task.horizon, step)
            block["timeouts"] = timeouts
        yield block


def counted_timeouts(
    terminals: np.ndarray, horizon: int, step: int
) -> tuple[np.ndarray, int]:
    """Count timeouts out as D4RL does in files that store none.

    After a terminal the count restarts at one, not zero: `qlearning_dataset` resets it
    before it adds the row. Returns the flags and the count to go on with.
    """
    timeouts = np.zeros(len(terminals), dtype=bool)
    for row, terminal in enumerate(terminals):
        if step == horizon - 1:
            timeouts[row] = True
            step = 0
        else:
            step = 1 if terminal else step + 1
    return timeouts, step


def episodes(source: h5py.File, task: TaskConfig, num_rows: int) -> Iterator[Episode]:
    """Yield the file's episodes; only the one at hand is held."""
    is_antmaze = task.environment.startswith("antmaze")
    pieces: list[Block] = []
    last: Block | None = None
    for block in blocks(source, task, num_rows):
        starts = episode_starts(block, last, is_antmaze)
        last = {name: array[-1:] for name, array in block.items()}
        bounds = [0, *np.flatnonzero(starts), len(starts)]
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            if starts[begin : begin + 1].any() and pieces:
                yield joined(pieces, block["observations"][begin : begin + 1])
                pieces = []
            if end > begin:
                pieces.append({name: array[begin:end] for name, array in block.items()})
    if pieces:
        yield joined(pieces)


def episode_starts(block: Block, last: Block | None, is_antmaze: bool) -> np.ndarray:
    """Return which rows begin an episode, (n,), given the row before the block.

    An ant that has reached its goal goes on, so its terminals end no episode; the first
    release of AntMaze lacks timeouts, where a leap tells the next start.
    """
    ends = block["timeouts"] if is_antmaze else block["timeouts"] | block["terminals"]
    starts = np.zeros(len(ends), dtype=bool)
    starts[1:] = ends[:-1]
    positions = block["observations"][:, :2]
    leaps = np.linalg.norm(np.diff(positions, axis=0), axis=1) > LARGEST_ANTMAZE_STEP
    if is_antmaze:
        starts[1:] |= leaps
    if last is not None:
        was_end = last["timeouts"] | (last["terminals"] & (not is_antmaze))
        leap = np.linalg.norm(positions[0] - last["observations"][0, :2])
        starts[0] = was_end[0] or (is_antmaze and leap > LARGEST_ANTMAZE_STEP)
    return starts


def joined(pieces: list[Block], following: np.ndarray | None = None) -> Episode:
    """Join the pieces of an episode that may span blocks; None `following` the last.

    The file's next row, `following` (1, O), is what D4RL trains on where a leap ends an
    episode without a flag. Elsewhere nothing is trained on the final observation, and
    where the file does not tell it, the last one stands in.
    """
    rows = {
        name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]
    }
    final = rows.get("next_observations", rows["observations"])[-1:]
    is_open = not (rows["timeouts"][-1] or rows["terminals"][-1])
    if is_open and following is not None:
        final = following
    return Episode(
        np.concatenate((rows["observations"], final)),
        rows["actions"],
        rows["rewards"],
        rows["terminals"],
        rows["timeouts"],
        is_cut=is_open and following is None,
    )
