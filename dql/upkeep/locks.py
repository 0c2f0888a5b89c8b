"""Which locks are held, and by whom: asked from outside, without waiting."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def has_snakemake_lock(folder: Path = Path()) -> bool:
    """Tell whether any user's Snakemake works in the folder, or was killed there."""
    return any((folder / ".snakemake/locks").glob("*"))


def running_snakemakes(folder: Path = Path()) -> list[int]:
    """Return the ids of the user's own Snakemake processes that work in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if b"snakemake" in words and (process / "cwd").samefile(folder):
                found.append(int(process.name))
        except OSError:  # it ended, or is another user's
            continue
    return [number for number in found if number != os.getpid()]


def is_locked(file: Path) -> bool:
    """Tell whether a living process holds a lock file, or may: one not to be read."""
    try:
        opened = file.open("rb")
    except PermissionError:
        return True
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
