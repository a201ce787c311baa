"""Send a body that copies itself into the socket (``sendfile``), over a connection of its own.

For a plain connection alone; what is to be encrypted has to pass through this process. httpcore2 takes bodies
as bytes and nothing else, so the request is written, and its answer read, here.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import httpcore2

from gguf2ollama.net.wait import Wait

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["SocketBody", "read_reply", "send_request"]

_CONTENT_LIMIT = 1 << 20  # bytes; an answer to an upload is empty, or an error


@runtime_checkable
class SocketBody(Protocol):
    """A body that can be read in chunks, or copy itself into a socket."""

    def __iter__(self) -> Iterator[bytes]:
        """Read it in chunks, where it has to pass through this process."""

    def send_over(self, connection: socket.socket) -> None:
        """Send it over a connection; raises ``OSError`` when that is lost."""


def send_request(
    stream: httpcore2.NetworkStream,
    *,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: SocketBody,
    timeout: float,
) -> None:
    """Send a request with all of its body.

    A server may answer and hang up before it has all of it, to say why it does not want it: so a connection
    that is lost is not an error yet.

    Args:
        stream: The connection.
        method: Of the request.
        target: The path, with the query.
        headers: Of the request; the length of the body is among them.
        body: The body.
        timeout: Seconds in which the server has to accept some more.

    Raises:
        httpcore2.WriteTimeout: The server accepts no more.
    """
    connection = stream.get_extra_info("socket")
    connection.settimeout(timeout)
    lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        body.send_over(connection)
    except TimeoutError as error:
        raise httpcore2.WriteTimeout(str(error)) from error
    except OSError:
        return


def read_reply(
    stream: httpcore2.NetworkStream, *, method: str, wait: Wait
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Wait for the answer, and read it: its status, headers and body.

    Raises:
        httpcore2.ReadTimeout: Nothing comes.
        httpcore2.ReadError: The connection was lost.
        httpcore2.RemoteProtocolError: What comes is not HTTP.
    """
    import http.client  # noqa: PLC0415 - 8 ms; for uploads alone

    response = http.client.HTTPResponse(_Incoming(stream, wait), method=method)  # type: ignore[arg-type]
    try:
        with response:
            response.begin()
            content = response.read(_CONTENT_LIMIT)
    except http.client.RemoteDisconnected as error:
        raise httpcore2.ReadError(str(error)) from error
    except (http.client.HTTPException, ValueError) as error:
        raise httpcore2.RemoteProtocolError(str(error) or type(error).__name__) from error
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
    return response.status, headers, content


class _Incoming(io.RawIOBase):
    """What comes over a connection, for :mod:`http.client`, which takes it for a socket."""

    def __init__(self, stream: httpcore2.NetworkStream, wait: Wait) -> None:
        super().__init__()
        self._stream = stream
        self._wait = wait

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file to read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill some of the buffer; return 0 at the end."""
        window = memoryview(buffer).cast("B")
        chunk = self._stream.read(len(window), timeout=self._wait)  # type: ignore[arg-type]
        window[: len(chunk)] = chunk
        return len(chunk)
