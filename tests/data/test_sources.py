"""Two hosts that have a file, and each fault the first can have."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from file_server import Server

from dql.data import download
from dql.data.sources import NoSourceError, PublishedFile, Served, serve
from dql.errors import UserError

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "data.hdf5"

Serve = Callable[..., Served]


@pytest.fixture
def host(start_server) -> Server:
    """The publisher's server."""
    server = start_server()
    server.content = CONTENT
    return server


@pytest.fixture
def mirror(start_server) -> Server:
    """Another one that has the file."""
    server = start_server()
    server.content = CONTENT
    return server


@pytest.fixture
def fetch(host: Server, mirror: Server, tmp_path: Path) -> Serve:
    """Return what fetches the file from the two; keywords say what is known of it."""

    def fetch(is_good: Callable[[Path], object] = lambda path: None, **known) -> Served:
        urls = (host.url, mirror.url)
        return serve(PublishedFile(NAME, urls, **known), tmp_path / NAME, is_good)

    return fetch


def others(folder: Path) -> list[str]:
    """Return the names of what is beside the file."""
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


def check_mirrored(served: Served, mirror: Server, folder: Path) -> None:
    """Hold that the mirror gave the whole file."""
    assert served == Served(folder / NAME, mirror.url, SHA256)
    assert served.path.read_bytes() == CONTENT


def test_the_publisher_is_asked_first(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    assert fetch() == Served(tmp_path / NAME, host.url, SHA256)
    assert mirror.ranges == []
    assert others(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "num_requests"), [(404, 1), (403, 1), (503, download.NUM_HASTY_ATTEMPTS)]
)
def test_a_first_host_that_refuses(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path, status, num_requests
) -> None:
    host.status = status
    check_mirrored(fetch(), mirror, tmp_path)
    assert host.ranges == [None] * num_requests


def test_a_first_host_that_is_down(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path, caplog
) -> None:
    host.socket.close()
    with caplog.at_level(logging.INFO):
        check_mirrored(fetch(), mirror, tmp_path)
    assert f"not from {host.url}: [Errno 111]" in caplog.text
    assert f"{NAME}: from {mirror.url}" in caplog.text


def test_a_first_host_that_sends_nothing(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.05)
    host.first_piece = 0
    check_mirrored(fetch(), mirror, tmp_path)
    assert host.ranges == [None] * download.NUM_HASTY_ATTEMPTS


@pytest.fixture
def slow_host(host: Server, monkeypatch) -> Server:
    """Judge speeds at the first piece, and let the publisher send a small one."""
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(download, "SLOW_BYTES", 1000)
    host.first_piece = 100
    return host


def test_a_slow_first_host(
    fetch: Serve, slow_host: Server, mirror: Server, tmp_path: Path
) -> None:
    check_mirrored(fetch(), mirror, tmp_path)
    assert mirror.ranges == [None]  # not the rest of what another server began
    assert others(tmp_path) == [f"{NAME}.part", f"{NAME}.part.version"]


def test_a_slow_host_is_better_than_none(
    fetch: Serve, slow_host: Server, mirror: Server, tmp_path: Path
) -> None:
    mirror.status = 503
    assert fetch().source == slow_host.url
    assert slow_host.ranges == [None, "bytes=100-"]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_length_is_not_received(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path, caplog
) -> None:
    host.claimed_size = len(CONTENT) + 7
    check_mirrored(fetch(num_bytes=len(CONTENT)), mirror, tmp_path)
    assert f"it has {len(CONTENT) + 7} bytes, expected {len(CONTENT)}" in caplog.text
    assert others(tmp_path) == []


def test_a_length_that_never_comes(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    """Of a file whose size nobody knows, the answer's own length is believed."""
    host.claimed_size = len(CONTENT) + 7
    check_mirrored(fetch(), mirror, tmp_path)
    assert host.ranges[:2] == [None, f"bytes={len(CONTENT)}-"]


def test_a_wrong_digest(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path, caplog
) -> None:
    host.content = CONTENT[:-1] + b"?"
    check_mirrored(fetch(sha256=SHA256), mirror, tmp_path)
    assert f"expected {SHA256}; what came is kept as" in caplog.text
    assert (tmp_path / f"{NAME}.rejected").read_bytes() == host.content


def test_a_wrong_content(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    """A page in the file's place, say of a network that wants a login."""

    def check(path: Path) -> None:
        if path.read_bytes().startswith(b"<html>"):
            raise UserError(f"{path} is a page")

    host.content = b"<html>Log in</html>"
    check_mirrored(fetch(check), mirror, tmp_path)
    assert others(tmp_path) == [f"{NAME}.rejected"]


def test_a_redirect_is_followed_and_its_source_named(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    host.location = mirror.url
    mirror.num_cuts = 1
    assert fetch(sha256=SHA256).source == host.url
    half = f"bytes={len(CONTENT) // 2}-"  # the range survives the redirect
    assert host.ranges == mirror.ranges == [None, half]


def test_a_redirect_in_a_circle(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    host.location = host.url
    check_mirrored(fetch(), mirror, tmp_path)


def test_a_mirror_that_sends_the_whole_file_instead_of_a_range(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    host.status = 503
    mirror.num_cuts, mirror.supports_ranges = 1, False
    check_mirrored(fetch(), mirror, tmp_path)
    assert mirror.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_both_down_names_each_with_its_reason(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    host.status, mirror.status = 503, 404
    with pytest.raises(NoSourceError) as caught:
        fetch()
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"  {host.url}: the server answers 503; 0 bytes")
    assert second == f"  {mirror.url}: the server answers 404"
    assert others(tmp_path) == []


def test_what_a_host_began_is_continued_there_alone(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:1000])
    host.status = 503
    check_mirrored(fetch(), mirror, tmp_path)
    assert mirror.ranges == [None]
    (tmp_path / NAME).unlink()
    host.status = 200
    fetch(sha256=SHA256)
    assert host.ranges[-1] == "bytes=1000-"


def test_a_stop_keeps_what_came(
    fetch: Serve, host: Server, mirror: Server, tmp_path: Path
) -> None:
    host.first_piece = 100
    download.stopping.set()
    try:
        with pytest.raises(download.StoppedError):
            fetch()
    finally:
        download.stopping.clear()
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:100]
    assert mirror.ranges == []
    assert fetch().source == host.url
    assert host.ranges == [None, "bytes=100-"]
