"""A registry on loopback for the length of one build: it serves models from where their bytes are.

Ollama pulls from any server that answers ``/v2/<namespace>/<model>/manifests/<tag>`` and blobs, but insists
that a blob redirects to another host name; ``localhost`` is another than ``127.0.0.1``
(``server/download.go`` of 0.34.4 and 0.32.15). It checks every digest itself and keeps the manifest as it is
given, so that what is pulled is not changed by template detection.

Read-only; every path holds a token that nobody can guess, and anything else is 404.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from gguf2ollama.oci import Digest, Manifest
from gguf2ollama.ollama.pieces import BlobPiece, cut, send_piece, total
from gguf2ollama.refs import TEMPORARY_NAMESPACE, ModelName

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PrivateRegistry"]

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_QUIET_AFTER = 120.0  # seconds after which a connection that says nothing is dropped


class PrivateRegistry:
    """Serves what it is told to offer on 127.0.0.1 while its ``with`` block runs."""

    def __init__(self) -> None:
        self._server = _Server(token=secrets.token_hex(16))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.drop_connections()
        self._server.server_close()

    def offer(self, manifest: Manifest, blobs: Mapping[Digest, Sequence[BlobPiece]]) -> ModelName:
        """Serve a model more; give the name by which an Ollama on this machine pulls it, over plain HTTP.

        Args:
            manifest: What is served under that name.
            blobs: The pieces of each blob, in order; together they are its bytes. Those of models offered
                before are served already.
        """
        return ModelName(
            host=f"127.0.0.1:{self._server.server_port}",
            namespace=TEMPORARY_NAMESPACE,
            model=self._server.token,
            tag=self._server.offer(manifest, blobs),
            protocol_scheme="http",
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, *, token: str) -> None:
        self.token = token
        self.manifests: dict[str, bytes] = {}
        self.pieces: dict[str, tuple[BlobPiece, ...]] = {}
        self.connections: set[socket.socket] = set()
        self._tags = itertools.count(1)
        super().__init__(("127.0.0.1", 0), _Handler)

    def offer(self, manifest: Manifest, blobs: Mapping[Digest, Sequence[BlobPiece]]) -> str:
        """Serve a manifest under a tag of its own, from several threads."""
        tag = str(next(self._tags))
        self.pieces.update((str(digest), tuple(pieces)) for digest, pieces in blobs.items())
        self.manifests[tag] = manifest.to_bytes()
        return tag

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take a connection, and know of it before its thread runs."""
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """End a connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def other_url(self) -> str:
        """The address of this server by its other name."""
        return f"http://localhost:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that leaves is no mishap, and Ollama tells what it could not get."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _QUIET_AFTER
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def version_string(self) -> str:
        """Tell nothing of what is running here."""
        return "gguf2ollama"

    def do_HEAD(self) -> None:
        """Tell what a GET would give; for a blob, its length."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Give the manifest, the way to a blob, or (a range of) a blob."""
        self._answer(with_body=True)

    def send_error(self, *_: object) -> None:
        """Tell nobody more than that: methods that are not served, and what is no HTTP."""
        self.close_connection = True
        self._head(404, 0)

    def _answer(self, *, with_body: bool) -> None:
        folder, _, last = self.path.rpartition("/")
        pieces, manifest = self.server.pieces.get(last), self.server.manifests.get(last)
        if (
            self._is(f"/v2/{TEMPORARY_NAMESPACE}/{self.server.token}/manifests", folder)
            and manifest is not None
        ):
            self._send_manifest(manifest, with_body=with_body)
        elif self._is(f"/v2/{TEMPORARY_NAMESPACE}/{self.server.token}/blobs", folder) and pieces is not None:
            if with_body:
                self._head(307, 0, Location=f"{self.server.other_url}/{self.server.token}/{last}")
            else:
                self._send_blob(pieces, with_body=False)
        elif self._is(f"/{self.server.token}", folder) and pieces is not None:
            self._send_blob(pieces, with_body=with_body)
        else:
            self._head(404, 0)

    @staticmethod
    def _is(secret: str, told: str) -> bool:
        """Compare in a time that tells nothing of the token."""
        return secrets.compare_digest(secret.encode(), told.encode())

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send_manifest(self, content: bytes, *, with_body: bool) -> None:
        media_type = "application/vnd.docker.distribution.manifest.v2+json"
        self._head(200, len(content), Content_Type=media_type)
        if with_body:
            self.wfile.write(content)

    def _send_blob(self, pieces: Sequence[BlobPiece], *, with_body: bool) -> None:
        size = total(pieces)
        start, end = 0, size
        # RFC 9110 has a server ignore what it does not take as a range
        wanted = _RANGE.fullmatch(self.headers.get("Range", "")) if with_body else None
        if wanted is None:
            self._head(200, size, Accept_Ranges="bytes")
        else:
            start = int(wanted[1])
            end = min(int(wanted[2]) + 1, size) if wanted[2] else size
            if start >= end:
                self._head(416, 0, Content_Range=f"bytes */{size}")
                return
            self._head(206, end - start, Content_Range=f"bytes {start}-{end - 1}/{size}")
        if not with_body:
            return
        for piece in cut(pieces, start=start, end=end):
            if send_piece(self.connection, piece) < total((piece,)):
                raise ConnectionAbortedError  # the file became shorter: the client sees the body end early
