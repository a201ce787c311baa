"""A registry on loopback for the duration of one build: it serves models from where their bytes are.

Ollama pulls from any server that answers ``/v2/<namespace>/<model>/manifests/<tag>`` and blobs, but requires
that a blob redirects to another host name, which it compares as text (``server/download.go`` from 0.5.4 to
0.34.4). ``[::ffff:127.0.0.1]`` is another text than ``127.0.0.1`` and the same address: Go connects to it by
IPv4, even where the kernel has no IPv6, and asks neither a name server nor a proxy. ``localhost`` could lead
to a stranger: where it is ``::1`` too, another user of this machine can listen there. Ollama checks every
digest itself and keeps the manifest as it is given, so that what is pulled is not changed by template
detection.

Read-only; every path holds a token that nobody can guess, and anything else is 404. Connections that have not
shown the token are few: a new one ends the oldest of them.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
import socketserver
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import ServerProblem
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.oci import Digest, Manifest
from gguf2ollama.ollama.sendfile import BlobPiece, cut, send_piece, total

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PrivateRegistry"]

_RANGE = lazy_pattern(r"bytes=(\d{1,18})-(\d{0,18})")
_ADDRESS = "127.0.0.1"
_QUIET_AFTER = 120.0  # seconds after which a connection that says nothing is dropped
_MOST_STRANGERS = 32  # connections without the token; Ollama's own show it at once


class PrivateRegistry:
    """Serves the models offered on 127.0.0.1 while its ``with`` block runs.

    Args:
        label: Begins the tag of every model; letters, digits and ``-``, at most 70.

    Raises:
        ServerProblem: No port is free on 127.0.0.1.
    """

    def __init__(self, *, label: str) -> None:
        try:
            self._server = _Server(token=secrets.token_hex(16), label=label)
        except OSError as error:
            raise ServerProblem(
                f"cannot open a port on {_ADDRESS} for the server to pull from: {error}",
                hint="use --via upload, which needs none",
            ) from error
        # a daemon: an interruption before the block begins leaves nobody to end it
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as steps:  # from the last to the first, even where one is interrupted
            steps.callback(self._server.server_close)
            steps.callback(self._server.drop_connections)
            steps.callback(self._thread.join)
            steps.callback(self._server.shutdown)

    def offer(self, manifest: Manifest, blobs: Mapping[Digest, Sequence[BlobPiece]]) -> ModelName:
        """Serve one more model; return the name by which an Ollama on this machine pulls it, over plain HTTP.

        Args:
            manifest: What is served under that name.
            blobs: The pieces of each blob, in order; together they are its bytes. Those of models offered
                before are served already.
        """
        return ModelName(
            host=f"{_ADDRESS}:{self._server.server_port}",
            namespace=TEMPORARY_NAMESPACE,
            model=self._server.token,
            tag=self._server.offer(manifest, blobs),
            protocol_scheme="http",
        )

    def has_served(self, name: ModelName) -> bool:
        """Return whether anybody who knows the token has fetched the manifest of that name.

        A server behind a tunnel or in a container pulls from the loopback of its own machine: whatever it
        found there did not come from here.
        """
        return name.tag in self._server.served


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64
    # the port is ours alone; on Windows, SO_REUSEADDR would let others listen there as well
    allow_reuse_address = False
    allow_reuse_port = False

    def __init__(self, *, token: str, label: str) -> None:
        self.token = token
        self.manifests: dict[str, bytes] = {}
        self.pieces: dict[str, tuple[BlobPiece, ...]] = {}
        self.served: set[str] = set()
        self._tags = (f"{label}-{number}" for number in itertools.count(1))
        self._known: set[socket.socket] = set()
        self._strangers: dict[socket.socket, None] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__((_ADDRESS, 0), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the name of the address, as ``HTTPServer`` does."""
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # on Windows
        if exclusive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _ADDRESS, self.socket.getsockname()[1]

    def offer(self, manifest: Manifest, blobs: Mapping[Digest, Sequence[BlobPiece]]) -> str:
        """Serve a manifest under a tag of its own, from several threads."""
        tag = next(self._tags)
        self.pieces.update((str(digest), tuple(pieces)) for digest, pieces in blobs.items())
        self.manifests[tag] = manifest.to_bytes()
        return tag

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take a connection, and know of it before its thread runs; end the oldest of too many strangers."""
        connection, address = super().get_request()
        with self._lock:
            self._strangers[connection] = None
            if len(self._strangers) > _MOST_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                _shut(oldest)
        return connection, address

    def trust(self, connection: socket.socket) -> None:
        """Keep a connection that has shown the token, however many others come."""
        with self._lock:
            self._strangers.pop(connection, None)
            self._known.add(connection)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """End a connection."""
        assert isinstance(request, socket.socket)  # noqa: S101 - the others are datagrams
        with self._lock:
            self._known.discard(request)
            self._strangers.pop(request, None)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._lock:
            for connection in (*self._known, *self._strangers):
                _shut(connection)

    @property
    def other_url(self) -> str:
        """The address of this server in another spelling."""
        return f"http://[::ffff:{_ADDRESS}]:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients may leave, and Ollama reports what it could not get."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _QUIET_AFTER
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def version_string(self) -> str:
        """Reveal nothing about the system."""
        return "gguf2ollama"

    def do_HEAD(self) -> None:
        """Return what a GET would return; for a blob, its length."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Return the manifest, the redirect to a blob, or (a range of) a blob."""
        self._answer(with_body=True)

    def send_error(self, *_: object) -> None:
        """Answer 404 and no more to unknown methods, and to what is not HTTP."""
        self.close_connection = True
        self._head(404, 0)

    def _answer(self, *, with_body: bool) -> None:
        folder, _, last = self.path.rpartition("/")
        token = self.server.token
        kinds = {
            f"/v2/{TEMPORARY_NAMESPACE}/{token}/manifests": self._send_manifest,
            f"/v2/{TEMPORARY_NAMESPACE}/{token}/blobs": self._send_redirect,
            f"/{token}": self._send_blob,
        }
        for secret, send in kinds.items():
            # in constant time, which reveals nothing about the token
            if secrets.compare_digest(secret.encode(), folder.encode()):
                self.server.trust(self.connection)
                send(last, with_body=with_body)
                return
        self._head(404, 0)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send_manifest(self, tag: str, *, with_body: bool) -> None:
        content = self.server.manifests.get(tag)
        if content is None:
            self._head(404, 0)
            return
        media_type = "application/vnd.docker.distribution.manifest.v2+json"
        self._head(200, len(content), Content_Type=media_type)
        if with_body:
            self.server.served.add(tag)
            self.wfile.write(content)

    def _send_redirect(self, digest: str, *, with_body: bool) -> None:
        if with_body and digest in self.server.pieces:
            self._head(307, 0, Location=f"{self.server.other_url}/{self.server.token}/{digest}")
        else:
            self._send_blob(digest, with_body=with_body)

    def _send_blob(self, digest: str, *, with_body: bool) -> None:
        pieces = self.server.pieces.get(digest)
        if pieces is None:
            self._head(404, 0)
            return
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


def _shut(connection: socket.socket) -> None:
    """End a connection on which a thread may be waiting."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
