"""A published file from the first source that has it: a folder, its host, a mirror.

Whatever the source, the file must have the size and the digest that are known, and pass
the caller's own check. The digest of a file that is published without one is kept, with
the source, when it first comes; every later source has to agree.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from dql.data.download import (
    RefusedError,
    TooSlowError,
    UnreachableError,
    check_file,
    download,
    reject,
)
from dql.errors import UserError

logger = logging.getLogger(__name__)

Check = Callable[[Path], object]
"""Raises a `UserError` unless a file's content is what it should be."""


@dataclass(frozen=True)
class PublishedFile:
    """A file, the addresses it is published at in the order to ask, what is known."""

    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    num_bytes: int | None = None


@dataclass(frozen=True)
class Served:
    """A file as expected, and where it came from: an address or a path."""

    path: Path
    source: str
    sha256: str


class NoSourceError(Exception):
    """No source gave the file; the message has a line for each, with its reason."""


def named_folder(given: Path | None, variable: str, what: str) -> Path | None:
    """Return the folder given, or the one a variable names; it has to be there."""
    named = given or os.environ.get(variable)
    if not named:
        return None
    root = Path(named).expanduser()
    try:
        next(root.iterdir(), None)
    except FileNotFoundError:
        fault, remedy = f"no such folder of {what}", "name one that is there"
    except NotADirectoryError:
        fault, remedy = f"a file, no folder of {what}", f"name {root.parent}"
    except OSError as error:
        reason = error.strerror or error
        fault = f"a folder of {what} that cannot be read ({reason})"
        remedy = "let this user read it"
    else:
        return root
    origin = "" if given else f" (named by {variable})"
    raise UserError(f"{root}{origin}: {fault}; {remedy}")


def from_file(wanted: PublishedFile, path: Path, kept: Path, is_good: Check) -> Served:
    """Return a local file where it lies; raise `RefusedError` if it is another."""
    source = shown(path)
    try:
        sha256 = _check(wanted, path, source, kept, is_good)
    except OSError as error:
        reason = error.strerror or error
        fault = f"it cannot be read ({reason}): let this user read it"
        raise RefusedError(fault) from None
    return Served(path, source, sha256)


def serve(
    wanted: PublishedFile, kept: Path, is_good: Check, local: tuple[Path, ...] = ()
) -> Served:
    """Return the file from the first source that has it as expected.

    `kept` is where a download ends; a good file that is there is used. Then come the
    `local` files that there are, read in place, and the addresses. One that is slow is
    left for the others, and asked again when they have failed.
    """
    reasons = []
    for source, attempt in _attempts(wanted, kept, is_good, local):
        try:
            served = attempt()
        except (UnreachableError, RefusedError) as error:
            reasons.append(f"{source}: {error}")
            logger.warning("%s: not from %s", wanted.name, reasons[-1])
        else:
            logger.info("%s: from %s", wanted.name, served.source)
            return served
    raise NoSourceError("\n".join(f"  {reason}" for reason in reasons))


def _attempts(
    wanted: PublishedFile, kept: Path, is_good: Check, local: tuple[Path, ...]
) -> Iterator[tuple[str, Callable[[], Served]]]:
    """Yield each source's name with the function that brings the file from it."""
    if kept.is_file():
        yield shown(kept), partial(_already_here, wanted, kept, is_good)
    for path in local:
        yield shown(path), partial(from_file, wanted, path, kept, is_good)
    slow: list[str] = []
    hasty = len(wanted.urls) > 1
    for url in wanted.urls:
        yield url, partial(_fetch, wanted, url, kept, is_good, slow if hasty else None)
    for url in slow:
        yield url, partial(_fetch, wanted, url, kept, is_good, None)


def _already_here(wanted: PublishedFile, kept: Path, is_good: Check) -> Served:
    """Return the file of an earlier call; set it aside if it has changed since."""
    recorded, source = recorded_digest(kept)
    try:
        sha256 = check_file(kept, wanted.sha256 or recorded, wanted.num_bytes)
        is_good(kept)
    except UserError as error:
        raise RefusedError(f"{error}; it is kept as {reject(kept)}") from None
    return Served(kept, source if sha256 == recorded else shown(kept), sha256)


def _fetch(
    wanted: PublishedFile,
    url: str,
    kept: Path,
    is_good: Check,
    slow: list[str] | None,
) -> Served:
    """Download the file; with a list of slow addresses, join that soon."""
    try:
        download(
            url,
            kept,
            sha256=wanted.sha256,
            num_bytes=wanted.num_bytes,
            part=part_file(wanted, url, kept),
            hasty=slow is not None,
        )
    except TooSlowError:
        if slow is not None:
            slow.append(url)
        raise
    try:
        sha256 = _check(wanted, kept, url, kept, is_good)
    except UserError as error:
        fault = f"{error}; what came is kept as {reject(kept)}"
        raise type(error)(fault) from None
    return Served(kept, url, sha256)


def part_file(wanted: PublishedFile, url: str, kept: Path) -> Path:
    """Return where a download grows: bytes of two servers never make one file."""
    part = kept.with_name(f"{kept.name}.part")
    if url == wanted.urls[0]:
        return part
    host = urlsplit(url).netloc.replace(":", "-")
    return part.with_name(f"{part.name}.{host}")


def _check(
    wanted: PublishedFile, path: Path, source: str, kept: Path, is_good: Check
) -> str:
    """Return a file's digest if it is as expected and as other sources had it."""
    sha256 = check_file(path, wanted.sha256, wanted.num_bytes)
    try:
        is_good(path)
    except UserError as error:
        raise RefusedError(str(error)) from None
    recorded, other = recorded_digest(kept)
    if wanted.sha256 is None and recorded not in (None, sha256):
        raise UserError(
            f"two sources disagree about {wanted.name}: sha256 {recorded} from "
            f"{other}, {sha256} from {source}. No digest of it is published, so which "
            f"one is right has to be found out; to take the second, remove "
            f"{_record(kept)}"
        )
    return sha256


def record_digest(kept: Path, served: Served) -> None:
    """Keep digest and source of a file that proved good, for every later source.

    The lines are those of `sha256sum`, which skips the one with the source.
    """
    if recorded_digest(kept)[0] == served.sha256:
        return
    text = f"{served.sha256}  {kept.name}\n{FROM}{served.source}\n"
    _record(kept).write_text(text, encoding="utf-8")


FROM = "# from "


def recorded_digest(kept: Path) -> tuple[str | None, str]:
    """Return the digest that is on record, if any, and the source it came from."""
    lines: list[str] = []
    with suppress(FileNotFoundError):
        lines = _record(kept).read_text(encoding="utf-8").splitlines()
    sources = [line.removeprefix(FROM) for line in lines if line.startswith(FROM)]
    digest = lines[0].split()[0] if lines and lines[0].split() else None
    return digest, sources[0] if sources else "an earlier fetch"


def _record(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.sha256")


def shown(path: Path) -> str:
    """Return a path as manifests and messages show it, without the user's home."""
    absolute = path.absolute()
    with suppress(RuntimeError, ValueError):
        return str(Path("~") / absolute.relative_to(Path.home()))
    return str(absolute)
