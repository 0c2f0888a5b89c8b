"""A GPU for every training process: Snakemake counts GPUs, it does not assign them.

A process leases the GPU with the fewest leases on this machine, by locks that the
kernel frees when the process ends, however it ends. Locks are named after the GPU
itself, so that processes meet whatever numbers a scheduler gave them. A slice of a GPU
(MIG) is leased like a GPU. Where there is none, or a scheduler has chosen the one to
use, there is nothing to lease.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

LEASES = Path(tempfile.gettempdir()) / "dql-gpu-leases"
"""On the machine itself: locks on a network file system are another matter."""
MAX_PROCESSES_PER_GPU = 64
VISIBLE = "CUDA_VISIBLE_DEVICES"
QUERY_SECONDS = 60


@contextmanager
def leased_gpu(folder: Path = LEASES) -> Iterator[str | None]:
    """Make one GPU visible to this process; to be entered before importing torch."""
    lease = _take(folder)
    if lease is None:
        yield None
        return
    lock, gpu = lease
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = gpu
    try:
        yield gpu
    finally:
        lock.release()
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def _take(folder: Path) -> tuple[FileLock, str] | None:
    """Lock the first free place on the GPU that has the fewest processes."""
    gpus = available_gpus()
    if not gpus or (len(gpus) == 1 and VISIBLE in os.environ):
        return None
    try:
        _share(folder)
        for place in range(MAX_PROCESSES_PER_GPU):
            for gpu, name in gpus.items():
                lock = FileLock(folder / f"{name}.{place}.lock", mode=0o666)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                logger.info("using GPU %s%s", gpu, _company(place, len(gpus)))
                return lock, gpu
    except OSError as error:
        logger.warning("no GPU lease (%s): the first visible GPU is used", error)
        return None
    logger.warning(
        "all %d GPUs have %d training processes each: the first visible GPU is used",
        len(gpus),
        MAX_PROCESSES_PER_GPU,
    )
    return None


def _company(others: int, num_gpus: int) -> str:
    """Say that a GPU is shared because more jobs run than there are GPUs."""
    if not others:
        return ""
    plural = "process" if others == 1 else "processes"
    asked = "more jobs at a time than GPUs"
    return f", shared with {others} other {plural} ({asked}: {num_gpus})"


def _share(folder: Path) -> None:
    """Make the folder of locks, for every user of the machine."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # As /tmp: everyone adds locks, nobody removes another's.
        folder.chmod(0o1777)


def available_gpus() -> dict[str, str]:
    """Return the GPUs, or slices, this process may choose from: id to name of locks.

    A list is read as CUDA reads it: what follows an entry that is no GPU does not
    count, and where one stands twice, none does. Locks are named by UUID, so alike in
    every process, also where a scheduler gave numbers.
    """
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return {uuid: _lock_name(uuid) for uuids in list_uuids() for uuid in uuids}
    entries = [entry.strip() for entry in visible.split(",")]
    gpus = list_uuids() if len(entries) > 1 else []  # of one there is no choice
    found: dict[str, str] = {}
    for entry in entries:
        uuid = _uuid_of(entry, gpus)
        if uuid is None or _kind(entry) != _kind(entries[0]):
            if len(entries) > 1:
                logger.warning("%s=%s: no GPU from %r on", VISIBLE, visible, entry)
            break
        if _lock_name(uuid) in found.values():
            logger.warning("%s=%s: one GPU twice, CUDA sees none", VISIBLE, visible)
            return {}
        found[entry] = _lock_name(uuid)
    return found


def _lock_name(uuid: str) -> str:
    return uuid.replace("/", "_")


def _kind(entry: str) -> str:
    return entry[:4] if entry.startswith(("GPU-", "MIG-")) else "number"


def _uuid_of(entry: str, gpus: Sequence[Sequence[str]]) -> str | None:
    """Return the UUID of a number or of a UUID's start, or None where it is no GPU.

    Of a GPU in slices, its number means the first one. Where the driver lists no GPU,
    the entry itself.
    """
    if entry.isdecimal():
        chosen = [gpus[int(entry)][0]] if int(entry) < len(gpus) else []
    elif entry.startswith("GPU-"):
        uuids = (uuid for slices in gpus for uuid in slices)
        chosen = [uuid for uuid in uuids if uuid.startswith(entry)]
    else:
        return entry if entry.startswith("MIG-") else None
    if not gpus:
        return entry
    return chosen[0] if len(chosen) == 1 else None


def is_gpu_here() -> bool:
    """Tell from the driver's device files whether this machine has a GPU."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def list_uuids() -> list[list[str]]:
    """Ask the driver for each GPU's UUID or, where it is in slices, for theirs."""
    program = shutil.which("nvidia-smi")
    if program is None:  # also where a folder on PATH cannot be read
        return []
    command = [program, "--list-gpus"]
    try:
        listed = subprocess.run(
            command, capture_output=True, text=True, timeout=QUERY_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _report_driver("does not answer", error)
        return []
    if listed.returncode != 0:
        reason = (listed.stdout + listed.stderr).strip().splitlines()[-1:]
        _report_driver("failed", *reason or [listed.returncode])
        return []
    return _uuids(listed.stdout)


def _report_driver(what: str, reason: object) -> None:
    """Warn where there is a GPU; the program alone, as in many images, is no sign."""
    level = logging.WARNING if is_gpu_here() else logging.DEBUG
    logger.log(level, "nvidia-smi %s (%s): no GPU is leased", what, reason)


def _uuids(listed: str) -> list[list[str]]:
    """Read `nvidia-smi --list-gpus`: a line for a GPU, its slices' lines indented."""
    gpus: list[list[str]] = []
    for line in listed.splitlines():
        found = re.search(r"\(UUID: ([^)]+)\)", line)
        if found and line[0].isspace():
            gpus[-1].append(found[1])
        elif found:
            gpus.append([found[1]])
    return [uuids[1:] or uuids for uuids in gpus]
