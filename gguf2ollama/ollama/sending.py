"""Send files as the body of a request: the system copies them into the socket (``sendfile``).

For a plain connection alone; what is to be encrypted has to pass through this process.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpcore

from gguf2ollama.ollama.blob_body import PiecesBody

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Reply", "read_reply", "send_request"]

_CONTENT_LIMIT = 1 << 20  # bytes; an answer to an upload is empty, or an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes


def send_request(
    stream: httpcore.NetworkStream,
    *,
    method: bytes,
    target: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: PiecesBody,
    timeout: float | None,
) -> None:
    """Send a request with all of its body.

    A server may answer and hang up before it has all of it, to say why it does not want it: so a connection
    that breaks off is no error yet.

    Args:
        stream: The connection.
        method: Of the request.
        target: The path, with the query.
        headers: Of the request; the length of the body is among them.
        body: The body.
        timeout: Seconds in which the server has to take some more.

    Raises:
        InvalidInput: A file has become shorter.
        NotFound: A file is gone.
        httpcore.WriteTimeout: The server takes no more.
    """
    connection: socket.socket = stream.get_extra_info("socket")
    connection.settimeout(timeout)
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Connection: close"]
    lines += [b"%s: %s" % header for header in headers if header[0].lower() != b"connection"]
    try:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        body.send(connection)
    except TimeoutError as error:
        raise httpcore.WriteTimeout(str(error)) from error
    except OSError:
        return


def read_reply(stream: httpcore.NetworkStream, *, method: str, timeout: float | None) -> Reply:
    """Wait for the answer, and read it.

    Args:
        stream: The connection.
        method: Of the request.
        timeout: Seconds to wait for it; without one, as long as the stream is patient.

    Raises:
        httpcore.ReadTimeout: Nothing comes.
        httpcore.ReadError: The connection broke off.
        httpcore.RemoteProtocolError: What comes is no answer.
    """
    response = http.client.HTTPResponse(_Incoming(stream, timeout), method=method)  # type: ignore[arg-type]
    try:
        with response:
            response.begin()
            content = response.read(_CONTENT_LIMIT)
    except (http.client.HTTPException, ValueError) as error:
        raise httpcore.RemoteProtocolError(str(error) or type(error).__name__) from error
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
    return Reply(status=response.status, headers=headers, content=content)


class _Incoming(io.RawIOBase):
    """What comes over a connection, for :mod:`http.client`, which takes it for a socket."""

    def __init__(self, stream: httpcore.NetworkStream, timeout: float | None) -> None:
        super().__init__()
        self._stream = stream
        self._timeout = timeout

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file to read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill some of the buffer; give 0 at the end."""
        window = memoryview(buffer).cast("B")
        piece = self._stream.read(len(window), timeout=self._timeout)
        window[: len(piece)] = piece
        return len(piece)
