"""A GPU for every training process: Snakemake counts GPUs, it does not assign them.

A process leases the GPU with the fewest leases on this machine, by locks that the
kernel frees when the process ends, however it ends. Locks are named after the GPU
itself, so that processes meet whatever numbers a scheduler gave them. Where there is no
GPU, or a scheduler has chosen the one to use, there is nothing to lease.
"""

from __future__ import annotations

import logging
import os
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
    names = lock_names(gpus)
    try:
        _share(folder)
        for place in range(MAX_PROCESSES_PER_GPU):
            for gpu, name in zip(gpus, names, strict=True):
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


def available_gpus() -> Sequence[str]:
    """List the ids of the GPUs this process may choose from."""
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    return list_uuids()


def lock_names(gpus: Sequence[str]) -> list[str]:
    """Name the GPUs alike in every process: by UUID where a scheduler gave numbers."""
    if not any(gpu.isdigit() for gpu in gpus):
        return list(gpus)
    uuids = dict(enumerate(list_uuids()))
    return [uuids.get(int(gpu), gpu) if gpu.isdigit() else gpu for gpu in gpus]


def list_uuids() -> list[str]:
    """Ask the driver for the GPUs of this machine; say so when it does not answer."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(
            command, capture_output=True, text=True, timeout=QUERY_SECONDS
        )
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("nvidia-smi does not answer (%s): no GPU is leased", error)
        return []
    if listed.returncode != 0:
        reason = (listed.stdout + listed.stderr).strip().splitlines()[-1:]
        logger.warning(
            "nvidia-smi failed (%s): no GPU is leased", *reason or [listed.returncode]
        )
        return []
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()]
