"""Files and folders that appear whole or not at all, and locks that make writers wait.

What is written survives a kill and a loss of power: a file's content is on the disk
before its name is, and its name before the next file's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dql.errors import UserError

logger = logging.getLogger(__name__)

TEMPORARY = ".tmp"
"""Ending of what is being written; what a killed process left is removed later."""

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: "write to another folder, this file system is read-only",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
}


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return the message of a failed write, with what a user can do about it."""
    remedy = REMEDIES.get(error.errno, "see to its disk and folder")
    if obstacle := in_the_way(path):
        return UserError(
            f"cannot write {path}: {obstacle}; mend that, then start again"
        )
    return UserError(
        f"cannot write {path}: {error.strerror or error}. What was there before is "
        f"unharmed: {remedy}, then start again"
    )


def in_the_way(path: Path) -> str | None:
    """Say which of the folders of a path is a file, or a link to nothing, if any."""
    for folder in reversed(path.parents):
        if folder.is_symlink() and not folder.exists():
            return f"{folder} is a link to {folder.readlink()}, which is not there"
        if folder.exists() and not folder.is_dir():
            return f"{folder} is a file, where a folder should be"
    return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; name the process that has it, and wait.

    Where no lock file can be made (a read-only checkout), nobody writes either. The
    kernel frees the lock of a process that ends, however it ends.
    """
    if folder.parent.is_dir() and not os.access(folder.parent, os.W_OK):
        yield
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder.parent, error) from None
    path = folder.parent / f".{folder.name}.lock"
    lock = FileLock(path)
    try:
        _acquire(lock, path, folder)
    except OSError as error:
        logger.warning(
            "no lock for %s (%s): let no other process use it", folder, error.strerror
        )
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, folder: Path) -> None:
    """Take the lock and leave this process's name in it; wait if another has it."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = path.read_text(encoding="utf-8", errors="replace") or "process"
        logger.info("waiting for another process that uses %s: %s", folder, holder)
        lock.acquire()
    with suppress(OSError):  # the name is a courtesy; a full disk does not matter here
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` if the block succeeds.

    Hold the folder's lock around this: leftovers of a killed process are removed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f".{folder.name}.*{TEMPORARY}"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = _temporary_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        # mkdtemp keeps others out; results are as readable as any other file.
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if folder.exists():
            previous = _temporary_folder(folder)
            folder.rename(previous / folder.name)
            temporary.rename(folder)
            shutil.rmtree(previous)
        else:
            temporary.rename(folder)
        _sync_folder(folder.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):  # readers of other files name their own
            raise cannot_write(folder, error) from error
        raise


def _temporary_folder(folder: Path) -> Path:
    name = tempfile.mkdtemp(
        prefix=f".{folder.name}.", suffix=TEMPORARY, dir=folder.parent
    )
    return Path(name)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that readers see all of it or none."""
    write_bytes(path, f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file through a synced temporary one: readers see all of it or none.

    Raises a `UserError` with the remedy when the disk or the folder does not let it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent
        )
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        replace(Path(name), path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def replace(source: Path, destination: Path) -> None:
    """Rename a file over another, on the disk as well, before anything that follows."""
    source.replace(destination)
    _sync_folder(destination.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there, on the disk as well."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from None
    _sync_folder(path.parent)


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left half-written; hold the folder's lock."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        with suppress(OSError):
            path.unlink()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk, so that later writes come after them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE file systems do not sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
