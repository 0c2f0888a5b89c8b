"""Where a command stands: folders that it needs, and what is in their place.

Everything made lies below the working directory, so that a command in the wrong one
would find nothing, or begin anew there.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dql import paths
from dql.errors import UserError
from dql.files import in_the_way
from dql.upkeep.findings import Finding, ok, problem, warning

MADE = (paths.RESULTS, paths.FIGURES)
SNAKEMAKE = Path(".snakemake")


def check_made() -> None:
    """Raise where a file, or a link to nothing, stands in the place of results."""
    for folder in MADE:
        if obstacle := in_the_way(folder / "any"):
            raise UserError(f"{obstacle}; nothing can be read or made there")


def check_working_directory() -> None:
    """Raise where results could not be found or made, or are those of a folder above.

    A folder that has results, or in which Snakemake runs, is a project's own.
    """
    check_made()
    here = Path.cwd()
    if paths.RESULTS.is_dir() or SNAKEMAKE.is_dir():
        return
    for above in here.parents:
        marks = (above / "workflow", above / SNAKEMAKE)
        if (above / paths.RESULTS).is_dir() and any(mark.is_dir() for mark in marks):
            raise UserError(
                f"{here} has no results, {above} has: cd {above} (or, to make others "
                "here: mkdir results)"
            )


def check_folders() -> Iterator[Finding]:
    """Look for links and files in the place of the folders that a run writes to."""
    obstacles = [found for place in _folders() if (found := in_the_way(place / "any"))]
    root = Path.cwd().resolve()
    outside = [
        place
        for place in _folders()
        if place.exists() and not place.resolve().is_relative_to(root)
    ]
    for obstacle in obstacles:
        yield problem("folders", obstacle, "remove it, or make what it links to")
    for place in outside:
        found = f"{place} is in {place.resolve()}, outside of this checkout"
        remedy = "dvc commit (make record) refuses it; mount that disk here instead"
        yield warning("folders", found, remedy)
    if not obstacles and not outside:
        yield ok("folders", "results and figures can be made here")


def _folders() -> list[Path]:
    below = sorted(paths.RESULTS.iterdir()) if paths.RESULTS.is_dir() else []
    return [*MADE, SNAKEMAKE, *(path for path in below if path.is_symlink())]


def check_cache() -> Iterator[Finding]:
    """Try the folder in which Snakemake keeps its sources: without it, it dies."""
    variable = os.environ.get("XDG_CACHE_HOME")
    folder = Path(variable or "~/.cache").expanduser() / "snakemake"
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(dir=nearest):
            yield ok("cache", f"{folder} can be written")
    except OSError as error:
        remedy = "export XDG_CACHE_HOME=/a/folder/of/yours, which Snakemake needs"
        yield problem("cache", f"{folder}: {error.strerror}", remedy)


def check_git() -> Iterator[Finding]:
    """Say which commit results would be attributed to, and what is not in it."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        remedy = "install git; without it results are attributed to no commit"
        yield warning("git", "no git on the PATH", remedy)
        return
    if "dubious ownership" in done.stderr:
        remedy = f"git config --global --add safe.directory {Path.cwd()}"
        yield problem("git", "this checkout is another user's: git refuses it", remedy)
    elif done.returncode != 0:
        remedy = "git init && git add -A && git commit -m start; DVC needs it"
        yield warning("git", "no commit here", remedy)
    else:
        yield _uncommitted(done.stdout.strip())


def _uncommitted(commit: str) -> Finding:
    command = ["git", "status", "--porcelain"]
    done = subprocess.run(command, capture_output=True, text=True)
    changed = len(done.stdout.splitlines())
    if changed:
        remedy = "commit before runs that are to be kept"
        return warning("git", f"{commit}, {changed} files uncommitted", remedy)
    return ok("git", f"{commit}, nothing uncommitted")


PLACE_CHECKS = (check_folders, check_cache, check_git)
