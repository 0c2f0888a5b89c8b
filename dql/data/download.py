"""Download a file so that it is whole or not there: resumed, retried, checked.

What has arrived waits beside the destination as `NAME.part` and is continued, also by a
later call. A file that fails its check is kept as `NAME.rejected` for inspection. Which
of several sources is asked, and when, is `dql.data.sources`' choice.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from dql.bars import progress_bar
from dql.errors import UserError
from dql.files import REMEDIES, cannot_write, file_sha256

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0
ASK_SECONDS = 10.0
NUM_ATTEMPTS = 5
NUM_HASTY_ATTEMPTS = 2
FIRST_PAUSE_SECONDS = 1.0

SLOW_SECONDS = 30.0
SLOW_BYTES = 600_000
"""Less than this in `SLOW_SECONDS` is slow: a file of 0.3 GB would take four hours."""

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class UnreachableError(Exception):
    """The server could not be reached, or sent nothing more, however often asked."""


class TooSlowError(UnreachableError):
    """The server sends, but so slowly that another one should be asked first."""


class RefusedError(UserError):
    """What a source gave is not the expected file."""


class StoppedError(Exception):
    """The user stopped the downloads; what came is kept."""


stopping = threading.Event()
"""Set, it ends the downloads of all threads at their next piece, within 30 seconds."""


def download(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    num_bytes: int | None = None,
    part: Path | None = None,
    hasty: bool = False,
) -> str:
    """Bring the file to `destination`, which is not there; return its sha256.

    `part` is where it grows. With `hasty`, a slow or failing server is given up soon.
    Raises `UnreachableError` when the network fails, `RefusedError` for another file.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = part or destination.with_name(f"{destination.name}.part")
    _complete(url, part, num_bytes, hasty=hasty)
    try:
        found = check_file(part, sha256, num_bytes)
    except RefusedError as error:
        fault = f"{error}; what came is kept as {reject(part)}"
        raise RefusedError(fault) from None
    part.replace(destination)
    return found


def ask(url: str) -> int | None:
    """Return the size of a server's file, None if it does not say; fetch none of it.

    It asks for the first byte: not every address answers HEAD. Raises
    `UnreachableError`.
    """
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})
    try:
        with urllib.request.urlopen(request, timeout=ASK_SECONDS) as response:
            length = response.headers.get("Content-Length")
            if response.status == http.client.PARTIAL_CONTENT:
                said = response.headers.get("Content-Range") or ""
                length = said.rpartition("/")[2]
    except urllib.error.HTTPError as error:
        raise UnreachableError(f"the server answers {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise UnreachableError(reason) from None
    return int(length) if length and length.isdigit() else None


def check_file(path: Path, sha256: str | None, num_bytes: int | None) -> str:
    """Return a file's digest; raise unless digest and size are those expected."""
    size = path.stat().st_size
    if num_bytes is not None and size != num_bytes:
        raise RefusedError(f"it has {size} bytes, expected {num_bytes}")
    found = file_sha256(path)
    if sha256 is not None and found != sha256:
        raise RefusedError(f"its sha256 is {found}, expected {sha256}")
    return found


def reject(path: Path) -> Path:
    """Set a file aside, under a name that says so; return the new path."""
    name = path.name.partition(".part")[0]
    return path.replace(path.with_name(f"{name}.rejected"))


def _complete(url: str, part: Path, num_bytes: int | None, *, hasty: bool) -> None:
    """Fetch what is missing; attempts that bring nothing new are counted."""
    failures, allowed = 0, NUM_HASTY_ATTEMPTS if hasty else NUM_ATTEMPTS
    while True:
        before = part.stat().st_size if part.exists() else 0
        if num_bytes is not None and before == num_bytes:
            return
        try:
            if _fetch_rest(url, part, num_bytes, hasty=hasty):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code not in TRANSIENT_STATUS:
                raise UnreachableError(f"the server answers {error.code}") from None
            reason = f"the server answers {error.code}"
        except urllib.error.URLError as error:
            if isinstance(error.reason, socket.gaierror | ConnectionRefusedError):
                raise UnreachableError(str(error.reason)) from None
            reason = str(error.reason)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in REMEDIES:
                raise cannot_write(part, error) from None
            reason = str(error) or type(error).__name__
        size = part.stat().st_size if part.exists() else 0
        failures = 0 if size > before else failures + 1
        if failures >= allowed:
            raise UnreachableError(f"{reason}; {size} bytes are kept in {part}")
        logger.info("%s: %s after %d bytes, trying again", part.name, reason, size)
        _pause(FIRST_PAUSE_SECONDS * 2**failures)


def _pause(seconds: float) -> None:
    """Wait, unless the user stops the downloads meanwhile."""
    if stopping.wait(seconds):
        raise StoppedError


def _fetch_rest(url: str, part: Path, num_bytes: int | None, *, hasty: bool) -> bool:
    """Append to the partial file; say whether it is complete."""
    start = part.stat().st_size if part.exists() else 0
    version = part.with_name(f"{part.name}.version")
    request = urllib.request.Request(url)
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version.is_file():
            # If the file on the server has changed, it sends all of the new one.
            request.add_header("If-Range", version.read_text(encoding="utf-8"))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if total == str(start):
                return True
            part.unlink()
            return False
        raise
    with response:
        sent = _first_byte(response)
        if sent not in (0, start):
            logger.info("%s: asked for byte %d on, got %s", part.name, start, sent)
            reject(part)  # what there is cannot be continued with this
            return False
        start = sent
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if num_bytes is not None and total not in (None, num_bytes):
            raise RefusedError(f"it has {total} bytes, expected {num_bytes}")
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if tag and not tag.startswith("W/"):
            version.write_text(tag, encoding="utf-8")
        _receive(response, part, start, total, hasty=hasty)
    is_complete = total is None or part.stat().st_size == total
    if is_complete:
        version.unlink(missing_ok=True)
    return is_complete


def _first_byte(response: http.client.HTTPResponse) -> int | None:
    """Return where the answer begins: 0 of a whole file, None where it does not say."""
    if response.status != http.client.PARTIAL_CONTENT:
        return 0
    said = response.headers.get("Content-Range") or ""
    match = re.match(r"bytes (\d+)-", said)
    return int(match[1]) if match else None


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    *,
    hasty: bool,
) -> None:
    name = part.name.partition(".part")[0]
    with (
        part.open("ab" if start else "wb") as file,
        progress_bar(name, total, start=start, unit="bytes") as progress,
    ):
        since, received = time.monotonic(), 0
        while chunk := response.read1(CHUNK_BYTES):
            file.write(chunk)
            progress(len(chunk))
            _pause(0)
            received += len(chunk)
            seconds = time.monotonic() - since
            if seconds < SLOW_SECONDS:
                continue
            if hasty and received < SLOW_BYTES:
                speed = f"{received / seconds / 1000:.1f} kB/s"
                raise TooSlowError(f"the server sends {speed}; what came is kept")
            since, received = time.monotonic(), 0
