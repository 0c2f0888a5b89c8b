"""A GPU for every training process: Snakemake counts GPUs, it does not assign them.

A process leases the GPU with the fewest leases on this machine, by locks that the
kernel frees when the process ends, however it ends. Where there is one GPU or none, or
a scheduler has already chosen, there is nothing to lease.
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
MAX_PROCESSES_PER_GPU = 64
VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def leased_gpu(folder: Path = LEASES) -> Iterator[str | None]:
    """Make one GPU visible to this process; to be entered before importing torch."""
    lease = _take(folder)
    if lease is None:
        yield None
        return
    lock, gpu = lease
    os.environ[VISIBLE] = gpu
    logger.info("using %s", gpu)
    try:
        yield gpu
    finally:
        lock.release()


def _take(folder: Path) -> tuple[FileLock, str] | None:
    """Lock the first free place on the GPU that has the fewest processes."""
    gpus = available_gpus()
    if len(gpus) < 2:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(MAX_PROCESSES_PER_GPU):
        for gpu in gpus:
            lock = FileLock(folder / f"{gpu}.{place}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return lock, gpu
    return None


def available_gpus() -> Sequence[str]:
    """List the ids of the GPUs this process may choose from."""
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.split() if listed.returncode == 0 else []
