"""Everything a run needs to go on, in one file that appears whole or not at all.

The file is in the safetensors format: reading it runs no code. Its header carries the
step, the records so far and the run's identity, and the digest of everything; a file of
another identity is refused, a damaged one set aside.

The runs of a block step together, so they must resume together: new states are written
beside the old ones and take their place when the last of the block is on the disk.
"""

from __future__ import annotations

import hashlib
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
from dql.files import cannot_write, replace, write_bytes
from dql.training.records import Records

PLAYED = "played."
"""Begins the names of an interaction's tensors, which no agent's do."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step."""

    step: int
    records: Records
    tensors: dict[str, Tensor]
    num_updates: dict[str, int]

    @property
    def of_agent(self) -> dict[str, Tensor]:
        """Return the agent's tensors."""
        return {k: v for k, v in self.tensors.items() if not k.startswith(PLAYED)}

    @property
    def played(self) -> dict[str, Tensor]:
        """Return the interaction's tensors; none of a run on recorded data alone."""
        return {
            name.removeprefix(PLAYED): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(PLAYED)
        }

    @property
    def digest(self) -> str:
        """Return the digest of the weights, whenever and wherever they were made."""
        return _digest("", self.of_agent)


def checkpoint_file(directory: Path) -> Path:
    """Return where a run directory keeps its checkpoint."""
    return directory / paths.CHECKPOINT_FOLDER / "state.safetensors"


def next_checkpoint_file(directory: Path) -> Path:
    """Return where a checkpoint waits until the whole block has written its own."""
    return directory / paths.CHECKPOINT_FOLDER / "next.safetensors"


def save_checkpoint(
    directory: Path,
    agent: Agent,
    run: int,
    step: int,
    records: Records,
    identity: dict[str, Any],
    played: dict[str, Tensor] | None = None,
) -> None:
    """Write run number `run` of the block; `promote` makes it the checkpoint.

    `played` is what the run's interaction goes on with.
    """
    num_runs = agent.spec.num_runs
    tensors = {
        name: rows_of_run(tensor, run, num_runs).cpu()
        for name, tensor in agent.state().items()
    }
    tensors |= {f"{PLAYED}{name}": tensor for name, tensor in (played or {}).items()}
    content = {
        "step": step,
        "num_updates": agent.num_updates(),
        "records": asdict(records),
        "identity": identity,
    }
    header = json.dumps(content)
    metadata = {"header": header, "sha256": _digest(header, tensors)}
    write_bytes(next_checkpoint_file(directory), save(tensors, metadata))


def promote(directory: Path) -> None:
    """Let the run's waiting checkpoint take the place of its previous one."""
    try:
        replace(next_checkpoint_file(directory), checkpoint_file(directory))
    except OSError as error:
        raise cannot_write(checkpoint_file(directory), error) from None


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Read a checkpoint file, None without one; another run's is refused.

    A damaged file is renamed to `NAME.damaged`, so that the next start does without.
    """
    try:
        path.open("rb").close()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["sha256"] != _digest(metadata["header"], tensors):
            raise ValueError("its content does not have the digest it was written with")
        header = json.loads(metadata["header"])
        checkpoint = Checkpoint(
            header["step"],
            Records(**header["records"]),
            tensors,
            header["num_updates"],
        )
        stored = header["identity"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        raise DamagedCheckpointError(
            f"{path} is damaged ({error}) and kept as {aside.name}"
        ) from None
    difference = first_difference(identity, stored)
    if difference:
        raise ForeignCheckpointError(f"{path} belongs to another run: {difference}")
    return checkpoint


def _digest(header: str, tensors: dict[str, Tensor]) -> str:
    """Return the sha256 over the header and every tensor's name, type and content."""
    hasher = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


class DamagedCheckpointError(UserError):
    """A checkpoint that cannot be read as it was written."""


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
