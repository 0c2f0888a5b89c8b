"""What tests of fetching share: local web servers, and a home without D4RL files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_server import Server

from dql.data import d4rl_files, download


@pytest.fixture
def no_files_of_the_users(tmp_path: Path, monkeypatch) -> None:
    """Look for D4RL's folder below the test's own home."""
    monkeypatch.delenv(d4rl_files.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def start_server(monkeypatch) -> Iterator[Callable[[], Server]]:
    """Yield what starts a server on this machine; let no attempt wait."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.0)
    servers = []

    def start() -> Server:
        servers.append(Server())
        serve = servers[-1].serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(start_server) -> Server:
    """Serve from this machine."""
    return start_server()
