"""Re-run one run of a cell, or its first part, beside the stored results and compare.

A re-run trains into results/rerun with the same layout as results/runs and never
touches what is stored. All that can be said against it is said before it trains.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from dql import paths
from dql.config.schema import RunConfig
from dql.diagnostics.cell_comparison import CellComparison, compare_cell
from dql.diagnostics.differences import (
    check_recorded,
    check_settings,
    check_sound,
    check_steps,
    is_on_processor,
    maker_differences,
    stored_steps,
    with_steps,
)
from dql.diagnostics.rerun_data import (
    check_data,
    is_there,
    make_data,
    reads_none,
    same_rows,
)
from dql.errors import UserError
from dql.files import locked
from dql.results.runs import StoredRun
from dql.results.stored_runs import Address, read_recorded, read_stored


def rerun_cell(
    run: RunConfig,
    address: Address,
    console: Console,
    *,
    num_steps: int | None = None,
    block_size: int = 1,
    rerun: Path | None = None,
) -> CellComparison:
    """Train a run again, or its first `num_steps`, and return how it compares.

    `block_size` runs trained together in the workflow. Raises before anything is
    trained if the stored run is of other settings or data, or has nothing to compare.
    """
    rerun = rerun or paths.run_directory(*address.run, paths.RERUN)
    if rerun.resolve() == address.path.resolve():
        raise UserError(f"{rerun}: a re-run may not write over the stored run")
    stored = read_stored(address)
    run = _checked(run, stored.run, address, num_steps)
    device, made = _maker(stored.run)
    same_noise = is_on_processor(made) == is_on_processor(stored.run.provenance)
    otherwise = list(maker_differences(run, stored.run, made, block_size))
    may_be_same = same_noise and _may_have_same_rows(run, stored.run)
    check_recorded(stored, _steps(run), same_draws=may_be_same)
    _say_what_begins(stored.run, address, _steps(run), otherwise, console)
    if not reads_none(stored.run):
        make_data(run.environment, address, console.print)
    is_same = same_noise and same_rows(run.environment, stored.run)
    if may_be_same and not is_same:
        otherwise.append("data: another draw by the same recipe")
        check_recorded(stored, _steps(run), same_draws=False)
    _train(run, rerun, device)
    return compare_cell(
        run,
        stored,
        address,
        read_recorded(rerun),
        same_draws=is_same,
        made_otherwise=otherwise,
    )


def _checked(
    run: RunConfig, stored: StoredRun, address: Address, num_steps: int | None
) -> RunConfig:
    """Return the run with the re-run's steps; what cannot be compared raises."""
    check_sound(stored, address)
    check_settings(run, stored, address)
    steps = stored_steps(stored) if num_steps is None else num_steps
    check_steps(steps, stored)
    check_data(run.environment, stored, address)
    return with_steps(run, steps)


def _maker(stored: StoredRun) -> tuple[str, dict[str, Any]]:
    """Return the device to train on, of the stored run's kind, and today's facts."""
    from dql.training.process import choose_device
    from dql.training.run_files import how_made

    name = "cpu" if is_on_processor(stored.provenance) else "auto"
    device = choose_device(name)
    return device.type, how_made(device)


def _train(run: RunConfig, rerun: Path, device: str) -> None:
    from dql.training import loop as training

    _clear(run, rerun)
    training.train([run], [rerun], foreign_checkpoint="discard", device=device)


def _steps(run: RunConfig) -> int:
    return run.training.num_gradient_steps


def _may_have_same_rows(run: RunConfig, stored: StoredRun) -> bool:
    """Tell whether the data are the stored ones, or may be once they are made."""
    is_known = reads_none(stored) or is_there(run.environment)
    return not is_known or same_rows(run.environment, stored)


def _say_what_begins(
    stored: StoredRun,
    address: Address,
    steps: int,
    otherwise: list[str],
    console: Console,
) -> None:
    """Print what is held against what, how long it takes, and what is not the same."""
    total, seconds = stored_steps(stored), stored.provenance.get("wall_seconds") or 0
    part = "all" if steps == total else f"the first {steps:,} of"
    minutes = seconds * steps / total / 60
    console.print(
        f"Training {part} {total:,} gradient steps again, stored in {address.path}; "
        f"at its speed that takes {minutes:.1f} minutes."
    )
    for sentence in otherwise:
        console.print(f"  not as then: {sentence}")


def _clear(run: RunConfig, rerun: Path) -> None:
    """Remove an earlier re-run, unless it is this very one, interrupted.

    A finished one would be left as it is. One of other length recorded its last step,
    so that its next metrics would be means over other steps.
    """
    with locked(rerun):
        if (rerun / paths.PROVENANCE_FILE).is_file() or not _is_of(run, rerun):
            shutil.rmtree(rerun, ignore_errors=True)


def _is_of(run: RunConfig, rerun: Path) -> bool:
    try:
        found = json.loads((rerun / paths.CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found == run.model_dump(mode="json")
