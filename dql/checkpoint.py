"""Everything a run needs to go on, in one file that appears whole or not at all.

The file is in the safetensors format: reading it runs no code. Its header carries the
step, the records so far and the run's identity; a file of another identity is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dql import paths
from dql.agents.agent import Agent
from dql.errors import UserError
from dql.files import write_bytes
from dql.records import Records


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step."""

    step: int
    records: Records
    tensors: dict[str, Tensor]
    num_updates: dict[str, int]


def checkpoint_file(directory: Path) -> Path:
    """Return where a run directory keeps its checkpoint."""
    return directory / paths.CHECKPOINT_FOLDER / "state.safetensors"


def save_checkpoint(
    directory: Path,
    agent: Agent,
    run: int,
    step: int,
    records: Records,
    identity: dict[str, Any],
) -> None:
    """Write run number `run` of the block; the previous file lasts until then."""
    num_runs = agent.spec.num_runs
    tensors = {
        name: rows_of_run(tensor, run, num_runs).cpu()
        for name, tensor in agent.state().items()
    }
    header = {
        "step": step,
        "num_updates": agent.num_updates(),
        "records": asdict(records),
        "identity": identity,
    }
    write_bytes(
        checkpoint_file(directory), save(tensors, {"header": json.dumps(header)})
    )


def load_checkpoint(directory: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Read a run's checkpoint, None without one; another run's is refused."""
    path = checkpoint_file(directory)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["header"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored = header["identity"]
        checkpoint = Checkpoint(
            header["step"],
            Records(**header["records"]),
            tensors,
            header["num_updates"],
        )
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(
            f"{path} is damaged ({error}); delete it to train the run from its start"
        ) from error
    difference = first_difference(identity, stored)
    if difference:
        raise ForeignCheckpointError(f"{path} belongs to another run: {difference}")
    return checkpoint


class ForeignCheckpointError(UserError):
    """A checkpoint of another configuration, dataset or code."""


def first_difference(wanted: Any, found: Any, key: str = "") -> str | None:
    """Name the first key in which two nested values differ, with both values."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            inner = f"{key}.{name}" if key else name
            difference = first_difference(wanted.get(name), found.get(name), inner)
            if difference:
                return difference
        return None
    return None if wanted == found else f"{key} is {found!r} there, {wanted!r} here"


def rows_of_run(tensor: Tensor, run: int, num_runs: int) -> Tensor:
    """Return a run's rows of a stacked tensor, contiguous."""
    return tensor.unflatten(0, (num_runs, -1))[run].contiguous()


def stack_states(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join the tensors of several runs along the run axis."""
    return {name: torch.cat([s[name] for s in states]) for name in states[0]}
