"""The stored runs of a cell: where they are, what they took, what one can compare."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from dql.diagnostics.curves import episode_scores, score_unit
from dql.errors import UserError
from dql.results.fingerprint import code_of_run
from dql.results.runs import StoredRun
from dql.results.stored_runs import Address, read_stored


@dataclass(frozen=True)
class StoredSeed:
    """A stored run in a line; `problem` says why it cannot be read."""

    task: str
    method: str
    seed: int
    stored_in: str
    store: str
    scale: str | None = None
    num_gradient_steps: int | None = None
    evaluation_interval: int | None = None
    score: float | None = None
    score_unit: str | None = None
    wall_seconds: float | None = None
    device: str | None = None
    processor: str | None = None
    is_todays_code: bool | None = None
    diverged: dict[str, Any] | None = None
    problem: str | None = None


def stored_seeds(addresses: Sequence[Address]) -> list[StoredSeed]:
    """Return a line for each stored run, also for one that cannot be read."""
    return [_stored_seed(address) for address in addresses]


def _stored_seed(address: Address) -> StoredSeed:
    names = (*address.run, str(address.path), str(address.store))
    try:
        run = read_stored(address).run
    except UserError as error:
        return StoredSeed(*names, problem=str(error))
    made, steps = run.provenance, run.evaluation_steps
    return StoredSeed(
        *names,
        scale=run.config["scale"],
        num_gradient_steps=run.config["training"]["num_gradient_steps"],
        evaluation_interval=run.config["training"]["evaluation_interval"],
        score=float(episode_scores(run, steps[-1]).mean()) if len(steps) else None,
        score_unit=score_unit(run),
        wall_seconds=made.get("wall_seconds"),
        device=made.get("device"),
        processor=(made.get("machine") or {}).get("processor"),
        is_todays_code=_is_todays_code(run),
        diverged=run.diverged,
    )


def _is_todays_code(run: StoredRun) -> bool:
    try:
        code = code_of_run(run.config)
    except OSError:  # an agent that is no more
        return False
    return run.provenance.get("code_fingerprint") == code


def print_seeds(
    seeds: Sequence[StoredSeed], console: Console, stored: str | None = None
) -> None:
    """Print a line for each stored run, and a command that checks one of them.

    `stored` is the store as it was asked for: the command asks for it too.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("seed", "stored in", "scale", "steps", "last score", "minutes"):
        table.add_column(heading, overflow="fold")
    table.add_column("code", overflow="fold")
    for one in seeds:
        table.add_row(*_cells(one))
    console.print(table)
    for one in seeds:
        if one.problem:
            console.print(f"Seed {one.seed} cannot be read: {one.problem}")
    if sound := [one for one in seeds if one.problem is None]:
        for line in _commands(sound[0], stored):
            console.print(line)


def _cells(one: StoredSeed) -> tuple[str, ...]:
    if one.problem:
        return str(one.seed), one.store, "-", "-", "damaged", "-", "-"
    score = "none" if one.score is None else f"{one.score:.1f}"
    return (
        str(one.seed),
        one.store,
        str(one.scale),
        f"{one.num_gradient_steps:,}",
        "diverged" if one.diverged else score,
        f"{(one.wall_seconds or 0) / 60:.1f}",
        "today's" if one.is_todays_code else "other",
    )


def _commands(one: StoredSeed, stored: str | None) -> list[str]:
    """Return how to run a seed again, whole and, if there is more, in part."""
    command = f"dql cell {one.task} {one.method} --seed {one.seed}"
    if stored is not None:
        command += f" --stored {shlex.quote(stored)}"
    lines = [f"Run one again: {command}"]
    if one.evaluation_interval < one.num_gradient_steps:
        part = f"{command} --steps {one.evaluation_interval}"
        lines.append(f"Up to its first evaluation: {part}")
    return lines
