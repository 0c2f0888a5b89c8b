"""Shortest ways through a maze of cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Move = tuple[int, int]


def shortest_ways(
    walls: np.ndarray, moves: Sequence[Move], *, leads_out_of_walls: bool = False
) -> np.ndarray:
    """Return the next cell on a shortest way, (R, C, R, C, 2): [goal][cell].

    `walls` is (R, C), true where there is one. Walls, and the goal itself, lead to
    themselves; or walls lead to the free neighbour that is nearest to the goal. Among
    equal ways, that wins whose last steps come first in `moves`.
    """
    stay = np.stack(np.indices(walls.shape), axis=-1)
    table = np.tile(stay, (*walls.shape, 1, 1, 1))
    for goal in map(tuple, np.argwhere(~walls)):
        seen, reached = {goal}, [goal]
        for row, column in reached:  # grows on the way: breadth first
            for move_row, move_column in moves:
                cell = (row + move_row, column + move_column)
                if cell in seen or (walls[cell] and not leads_out_of_walls):
                    continue
                seen.add(cell)
                table[goal][cell] = row, column
                if not walls[cell]:
                    reached.append(cell)
    return table
