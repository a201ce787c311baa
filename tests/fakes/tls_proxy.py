"""A reverse proxy before a server: it speaks TLS, demands a key, and serves under a path of its own."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests import fakes
from tests.fakes.serving import LoopbackHandler, LoopbackServer

__all__ = ["CERTIFICATE", "TlsProxy"]

CERTIFICATE = Path(fakes.__path__[0]) / "loopback.pem"
_CHUNK = 64 << 10
_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


class TlsProxy:
    """Passes on what comes with the right key, and streams both ways.

    Args:
        target: The server's URL.
        key: The key that is demanded as bearer.
        path: The path under which the server is found here.

    Attributes:
        refused: Requests without the right key.
        passed: ``METHOD /path`` of those that were passed on, as the server sees them.
    """

    def __init__(self, target: str, *, key: str, path: str = "/ollama") -> None:
        self.target = urlsplit(target)
        self.key = key
        self.path = path
        self.refused = 0
        self.passed: list[str] = []
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """Its address, as OLLAMA_HOST takes it."""
        return f"https://127.0.0.1:{self._server.server_port}{self.path}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._server.server_close()


class _Server(LoopbackServer):
    def __init__(self, proxy: TlsProxy) -> None:
        self.proxy = proxy
        super().__init__(_Handler, certificate=CERTIFICATE)


class _Handler(LoopbackHandler):
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        proxy = self.server.proxy
        if self.headers.get("Authorization") != f"Bearer {proxy.key}":
            proxy.refused += 1
            self.close_connection = True
            self._answer(401, b"<html><h1>401 Authorization Required</h1></html>")
            return
        if not self.path.startswith(f"{proxy.path}/"):
            self._answer(404, b"<html><h1>404 Not Found</h1></html>")
            return
        path = self.path.removeprefix(proxy.path)
        proxy.passed.append(f"{self.command} {path}")
        backend = http.client.HTTPConnection(proxy.target.hostname or "", proxy.target.port, timeout=120)
        with contextlib.closing(backend):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            del headers["Host"], headers["Authorization"]
            backend.request(self.command, path, body=self._body(), headers=headers)
            self._pass_on(backend.getresponse())

    def _body(self) -> Iterator[bytes] | None:
        left = int(self.headers.get("Content-Length", 0))
        return self._read(left) if left else None

    def _read(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece

    def _pass_on(self, response: http.client.HTTPResponse) -> None:
        self.send_response(response.status)
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP]
        is_chunked = response.length is None and self.command != "HEAD"
        for name, value in [*headers, *([("Transfer-Encoding", "chunked")] if is_chunked else [])]:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        while piece := response.read1(_CHUNK):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, page: bytes) -> None:
        self.send_whole(status, {"Content-Type": "text/html"}, page)
