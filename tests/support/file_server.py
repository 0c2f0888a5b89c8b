"""A local web server that serves one file, and every fault a download can meet."""

from __future__ import annotations

import hashlib
import http.server
import sys
import threading


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; the first `num_cuts` answers break off half way."""

    content = b""
    num_cuts = 0
    status = 200
    supports_ranges = True
    range_start: int | None = None
    """Where the range begins that is sent whatever was asked; None: where asked."""
    claimed_size: int | None = None
    """What it says of the file's size; None: the truth."""
    location: str | None = None
    """Where it sends whoever asks; None: it answers itself."""
    first_piece: int | None = None
    """Bytes that it sends at once, the others once `goes_on` is set; None: all."""
    pause_seconds = 0.2
    """After which the others are sent in any case."""
    barrier: threading.Barrier | None = None
    """What answers wait at before they are sent; None: nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.goes_on = threading.Event()

    def handle_error(self, request, client_address) -> None:
        """Let clients go away in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"http://127.0.0.1:{self.server_port}/files/data.hdf5"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the whole file or, asked for one, with a range of it."""

    def do_GET(self) -> None:
        server: Server = self.server
        asked = self.headers["Range"]
        server.ranges.append(asked)
        if server.barrier:
            server.barrier.wait(10)
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        start, body = 0, server.content
        is_range = bool(asked) and server.supports_ranges and self._may_continue()
        if is_range:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if server.range_start is None else server.range_start
            body = body[start : int(last) + 1 if last else None]
        size = server.claimed_size or len(server.content)
        self.send_response(206 if is_range else 200)
        if is_range:
            end = start + len(body) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("ETag", self.tag)
        unsaid = size - len(server.content)
        self.send_header("Content-Length", str(len(body) + unsaid))
        self.end_headers()
        if server.num_cuts:
            server.num_cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body[: server.first_piece])
        if server.first_piece is not None:
            server.goes_on.wait(server.pause_seconds)
            self.wfile.write(body[server.first_piece :])

    def _may_continue(self) -> bool:
        """Tell whether what the client has is of this version."""
        return self.headers["If-Range"] in (None, self.tag)

    @property
    def tag(self) -> str:
        """The version of the file."""
        return f'"{hashlib.md5(self.server.content).hexdigest()}"'

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""
