"""A server that answers with the very bytes that a test wants, over real sockets, encrypted or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

__all__ = ["RawServer", "ok"]


def ok(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawServer:
    """Hands the head of each request to ``answer``, sends what that returns, and ends the connection.

    Attributes:
        heads: The requests so far.
        answer: Returns the bytes of an answer, or what gives them piece by piece; ``None`` to say nothing.
        left: Set when a client has gone while ``answer`` said nothing.
    """

    def __init__(self, answer: Callable[[str], bytes | Iterable[bytes] | None], *, tls: Path | None = None):
        self.heads: list[str] = []
        self.answer = answer
        self.left = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._tls = None
        if tls is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(tls)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := connection.recv(65536)):
                return
            head += piece
        self.heads.append(head.partition(b"\r\n\r\n")[0].decode("latin-1"))
        answer = self.answer(self.heads[-1])
        if answer is None:
            connection.recv(1)
            self.left.set()
            return
        for piece in [answer] if isinstance(answer, bytes) else answer:
            connection.sendall(piece)
