"""What an episode must be before it is stored, and after: every fault names its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dql.errors import UserError

if TYPE_CHECKING:
    from dql.data.minari_files import Episode

ACTION_TOLERANCE = 1e-5
"""Actions may pass [-1, 1] by the rounding of a simulator's float32."""
NUMBER_KINDS = "biuf"
"""NumPy's kinds of types that are numbers: truth values, integers, floats."""


def check_episode(
    episode: Episode, name: str, dimensions: tuple[int, int], first_row: int
) -> None:
    """Raise unless shapes, numbers, flags and the range of actions are right."""
    num_rows = np.shape(episode.rewards)[:1] or (0,)
    if num_rows == (0,):
        raise UserError(f"{name}: the episode that starts at row {first_row} is empty")
    expected = {
        "observations": (num_rows[0] + 1, dimensions[0]),
        "actions": (*num_rows, dimensions[1]),
        "rewards": num_rows,
        "terminations": num_rows,
        "truncations": num_rows,
    }
    for key, shape in expected.items():
        array = getattr(episode, key)
        if array.shape != shape:
            raise UserError(
                f"{name}: {key} has shape {array.shape} in the episode that starts at "
                f"row {first_row}, expected {shape}"
            )
        if key in ("terminations", "truncations"):
            as_flags(array, f"{name}: {key}", first_row)
        else:
            _check_finite(array, f"{name}: {key}", first_row)
    _check_actions(episode.actions, name, first_row)
    early = np.flatnonzero(episode.truncations[:-1])
    if len(early):
        raise UserError(
            f"{name}: truncations is set at row {first_row + early[0]}, but the "
            "episode goes on"
        )


def as_flags(array: np.ndarray, name: str, first_row: int) -> np.ndarray:
    """Return an array of 0 and 1 as truth values; anything else in it raises."""
    check_numbers(array.dtype, name)
    is_flag = (array == 0) | (array == 1)
    if not is_flag.all():
        row = int(np.argmin(is_flag.reshape(-1)))
        found = array.reshape(-1)[row]
        raise UserError(f"{name} is {found} at row {first_row + row}, neither 0 nor 1")
    return array.astype(bool)


def check_numbers(dtype: np.dtype, name: str) -> None:
    """Raise unless a type is one of numbers."""
    if dtype.kind not in NUMBER_KINDS:
        raise UserError(f"{name} holds no numbers but {dtype}")


def _check_finite(array: np.ndarray, name: str, first_row: int) -> None:
    """Raise unless every number is finite in float32, which all are stored in."""
    check_numbers(array.dtype, name)
    with np.errstate(over="ignore"):
        stored = array.astype(np.float32)
    finite = np.isfinite(stored.reshape(len(array), -1)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        beyond = " in float32" if np.isfinite(array[row]).all() else ""
        raise UserError(f"{name} is not finite{beyond} at row {first_row + row}")


def _check_actions(actions: np.ndarray, name: str, first_row: int) -> None:
    largest = np.abs(actions).max(axis=1, initial=0.0)
    if (largest > 1 + ACTION_TOLERANCE).any():
        row = int(np.argmax(largest > 1 + ACTION_TOLERANCE))
        raise UserError(
            f"{name}: actions has {largest[row]:.6g} at row {first_row + row}, "
            "outside [-1, 1]"
        )
