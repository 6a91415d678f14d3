"""A server of made weight files on this machine, with the faults of others."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lvt_dense.checkpoints import cache


@dataclass
class File:
    """A file of the server, and how it is served.

    Attributes:
        content: Its bytes.
        kind: Content type.
        cuts: For the next requests: how many bytes are sent before the
            connection breaks.
        statuses: For the next requests: status codes to fail with.
        etag: ``ETag`` header, None for none.
        pause: Seconds between two pieces of the file.
        has_length: Whether the length is told beforehand.
        takes_ranges: Whether a part can be asked for.
    """

    content: bytes
    kind: str = 'application/octet-stream'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    etag: str | None = None
    pause: float = 0.0
    has_length: bool = True
    takes_ranges: bool = True


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by path and notes the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.files: dict[str, File] = {}
        self.requests: list[tuple[str, str | None, int]] = []

    @property
    def url(self) -> str:
        """Root of the server, without a slash at the end."""
        return f'http://127.0.0.1:{self.server_port}'


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        file = self.server.files.get(self.path)
        if file is None:
            self._fail(404)
        elif file.statuses:
            self._fail(file.statuses.pop(0))
        elif file.etag and self.headers.get('If-None-Match') == file.etag:
            self._fail(304)
        else:
            self._send(file)

    def _fail(self, status: int) -> None:
        self._remember(status)
        self.send_response(status)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def _send(self, file: File) -> None:
        content, status = file.content, 200
        asked = self.headers.get('Range')
        same = self.headers.get('If-Range') in (None, file.etag)
        if asked and file.takes_ranges and same:
            first = int(asked.removeprefix('bytes=').rstrip('-'))
            if first >= len(content):
                self._fail(416)
                return
            content, status = content[first:], 206
        self._remember(status)
        self.send_response(status)
        self.send_header('Content-Type', file.kind)
        if file.has_length:
            self.send_header('Content-Length', str(len(content)))
        if file.etag:
            self.send_header('ETag', file.etag)
        self.end_headers()
        cut = file.cuts.pop(0) if file.cuts else len(content)
        pieces = 8 if file.pause else 1
        step = max(1, cut // pieces)
        with contextlib.suppress(OSError):
            for start in range(0, cut, step):
                self.wfile.write(content[start : min(start + step, cut)])
                time.sleep(file.pause)

    def _remember(self, status: int) -> None:
        asked = self.headers.get('Range')
        self.server.requests.append((self.path, asked, status))

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Run a server as long as the context lasts."""
    server = Server()
    thread = threading.Thread(
        target=server.serve_forever, kwargs=dict(poll_interval=0.01)
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def mirroring(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Serve in place of all publishers; the cache, in ``folder``, is empty."""
    monkeypatch.delenv('LVT_DENSE_PRETRAINED', raising=False)
    monkeypatch.setenv('LVT_DENSE_CACHE', str(folder / 'cache'))
    monkeypatch.setattr(cache, 'PAUSES', ())
    with serving() as server:
        monkeypatch.setenv('LVT_DENSE_MIRROR', server.url)
        yield server
