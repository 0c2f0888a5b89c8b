"""A local web server that serves one file, and every fault a download can meet."""

from __future__ import annotations

import hashlib
import http.server


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; the first `num_cuts` answers break off half way."""

    content = b""
    num_cuts = 0
    status = 200
    supports_ranges = True
    range_start: int | None = None
    """Where the range begins that is sent whatever was asked; None: where asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

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
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if asked and server.supports_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if self.headers["If-Range"] not in (None, self.tag):
                start = 0
        is_range = bool(start)
        if is_range and server.range_start is not None:
            start = server.range_start
        body, size = server.content[start:], len(server.content)
        self.send_response(206 if is_range else 200)
        if is_range:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.num_cuts:
            server.num_cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    @property
    def tag(self) -> str:
        """The version of the file."""
        return f'"{hashlib.md5(self.server.content).hexdigest()}"'

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""
