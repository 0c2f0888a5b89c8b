"""Folders that appear whole or not at all, and locks that make writers wait."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; say so when another process has it, and wait.

    Where no lock file can be made (a read-only checkout), nobody writes either.
    """
    if folder.parent.is_dir() and not os.access(folder.parent, os.W_OK):
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("waiting for another process that uses %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` if the block succeeds.

    Hold the folder's lock around this where others may read or write it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        # mkdtemp keeps others out; results are as readable as any other file.
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if folder.exists():
            previous = Path(tempfile.mkdtemp(prefix=".old.", dir=folder.parent))
            folder.rename(previous / folder.name)
            temporary.rename(folder)
            shutil.rmtree(previous)
        else:
            temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that readers see all of it or none."""
    write_bytes(path, f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file through a synced temporary one: readers see all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
