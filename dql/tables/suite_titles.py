"""What a suite made here is called wherever its scores stand: whose data, how long.

A title says that the data are not D4RL's files, and where runs are shorter than the
configuration's `min_steps_to_rank`, that they are too short to rank methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dql.tables.cells import Cell

NAMES = {
    "local": "Local data, made here: not D4RL's",
    "remade": "Remade data, D4RL's sets made again: not D4RL's files",
}
TOO_SHORT = "too short to rank"
SHORT_NOTE = (
    "Too short to rank: so few gradient steps show that the machinery works, not which "
    "method is better; their order changes later in training. Longer runs: table "
    "remade, scale evidence (make evidence), kept in results/kept/evidence."
)


def suite_name(suite: str) -> str:
    """Return whose data a suite's are, nothing for D4RL's own."""
    return NAMES.get(suite, "")


def suite_title(suite: str, cells: Sequence[Cell], min_steps: int) -> str:
    """Return a suite's title, empty for D4RL's own; short runs are called so."""
    name = suite_name(suite)
    if not is_too_short(cells, min_steps):
        return name
    return f"{name}; {TOO_SHORT}, {steps_in_words(cells)}".removeprefix("; ")


def other_data(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells of suites whose data are not D4RL's files."""
    return [cell for cell in cells if cell["suite"] in NAMES]


def is_too_short(cells: Iterable[Cell], min_steps: int) -> bool:
    """Tell whether a cell with runs has fewer gradient steps than a ranking needs."""
    return any(
        cell["sizes"]["num_gradient_steps"] < min_steps
        for cell in cells
        if cell["seeds"]
    )


def short_notes(cells: Iterable[Cell], min_steps: int) -> list[str]:
    """Return what short runs show, if some are short."""
    return [SHORT_NOTE] if is_too_short(cells, min_steps) else []


def steps_in_words(cells: Iterable[Cell]) -> str:
    """Return how many gradient steps the cells' runs took: `3,000 gradient steps`."""
    steps = sorted({cell["sizes"]["num_gradient_steps"] for cell in cells})
    ends = steps if len(steps) < 2 else [steps[0], steps[-1]]
    return f"{' to '.join(f'{count:,}' for count in ends)} gradient steps"
