"""Serve a page of ``lvt-dense export --format web`` on this machine."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .errors import InputError


class _Handler(SimpleHTTPRequestHandler):
    """Answers with the headers without which a page has no threads."""

    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        '.js': 'text/javascript',
        '.mjs': 'text/javascript',
        '.wasm': 'application/wasm',
        '.json': 'application/json',
        '.onnx': 'application/octet-stream',
    }

    def end_headers(self) -> None:
        self.send_header('Cross-Origin-Opener-Policy', 'same-origin')
        self.send_header('Cross-Origin-Embedder-Policy', 'require-corp')
        self.send_header('Cache-Control', 'no-cache')
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def make_server(folder: str | Path, port: int = 8000) -> ThreadingHTTPServer:
    """Return a server of a folder on 127.0.0.1.

    Args:
        folder: Folder with an ``index.html``.
        port: Its port; 0 takes a free one.

    Raises:
        InputError: There is no page, or the port is taken.
    """
    if not Path(folder, 'index.html').is_file():
        raise InputError(
            f'{folder} holds no index.html: write a page with lvt-dense '
            'export --format web'
        )
    handler = partial(_Handler, directory=str(folder))
    try:
        return ThreadingHTTPServer(('127.0.0.1', port), handler)
    except OSError as error:
        raise InputError(f'--port {port}: {error.strerror}') from error
