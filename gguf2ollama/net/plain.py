"""HTTP/1.1 over a plain connection, with our own reader: for Ollama, most often on this machine.

httpcore2 would cost every command that asks a server 40 ms of CPU to import. It also takes bodies as bytes
and nothing else, while here the system copies a file into the socket (``sendfile``).
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gguf2ollama.net.dialing import KEEP_ALIVE, Dialer
from gguf2ollama.net.failures import FailureKind, printable
from gguf2ollama.net.http1 import ResponseReader
from gguf2ollama.net.transport import Answer, Outgoing, SocketBody, WireError
from gguf2ollama.net.wait import DeadlineError, Wait

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["PlainTransport"]

_HTTP_PORT = 80
_CHUNK = 64 << 10


class PlainTransport:
    """Connections to servers over ``http:``, without a proxy.

    Args:
        dialer: Makes the connections.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections, also those whose response nobody has closed."""
        with self._lock:
            connections = list(self._open)
            self._idle.clear()
        for connection in connections:
            connection.close()

    def send(self, request: Outgoing) -> Answer:
        """Send a request and wait for the head of its response; raises ``WireError``."""
        parts = urlsplit(request.url)
        address = parts.hostname or "", parts.port or _HTTP_PORT
        connection = self._take(address) or self._connect(address, timeout=request.connect_timeout)
        try:
            connection.send(request, target=f"{parts.path}{'?' if parts.query else ''}{parts.query}")
            response = connection.receive(request)
        except BaseException:
            connection.close()
            raise
        body = _Body(response, connection, keep=lambda: self._keep(connection, address))
        return Answer(
            status=response.status,
            headers=response.headers,
            body=body.chunks(),
            close=body.close,
        )

    def _keep(self, connection: _Connection, address: tuple[str, int]) -> None:
        """Keep a connection for the next request."""
        with self._lock:
            if not self._dialer.closed.is_set():
                self._idle.setdefault(address, []).append(connection)
                return
        connection.close()

    def _take(self, address: tuple[str, int]) -> _Connection | None:
        """Return an idle connection; one that the server has closed meanwhile can be read from."""
        while True:
            with self._lock:
                kept = self._idle.get(address)
                if not kept:
                    return None
                connection = kept.pop()
            if not connection.is_readable:
                return connection
            connection.close()

    def _connect(self, address: tuple[str, int], *, timeout: float) -> _Connection:
        def connect() -> socket.socket:
            return socket.create_connection(address, timeout)

        try:
            connection = self._dialer.connect(connect, host=address[0])
        except TimeoutError as error:
            raise WireError(FailureKind.CONNECT_TIMEOUT, printable(str(error))) from error
        except UnicodeError as error:  # the resolver refuses to encode such a host name
            raise WireError(FailureKind.CONNECT, f"{address[0]!r} is not a host name") from error
        except OSError as error:
            raise WireError(FailureKind.CONNECT, printable(str(error))) from error
        for option in (*KEEP_ALIVE, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
            connection.setsockopt(*option)
        made = _Connection(connection, self._dialer, closed=self._open.discard)
        self._open.add(made)
        return made


class _Body:
    """The body of a response; at its end, its connection is kept for others.

    Args:
        response: The response, whose head was read.
        connection: Its connection.
        keep: Keeps that.
    """

    def __init__(
        self, response: ResponseReader, connection: _Connection, *, keep: Callable[[], None]
    ) -> None:
        self._response = response
        self._connection = connection
        self._keep = keep
        self._is_over = False

    def chunks(self) -> Iterator[bytes]:
        """Return its bytes as they arrive."""
        with self._connection.errors():
            while chunk := self._response.read():
                yield chunk
        self.close()

    def close(self) -> None:
        """End it."""
        if self._is_over:
            return
        self._is_over = True
        if self._response.is_reusable:
            self._keep()
        else:
            self._connection.close()


class _Connection:
    """One connection; ``closed`` is called with it when it is."""

    def __init__(
        self, connection: socket.socket, dialer: Dialer, *, closed: Callable[[_Connection], None]
    ) -> None:
        self._closed = closed
        self._socket = connection
        self._dialer = dialer
        try:
            self._guard = dialer.guard(connection)
        except BaseException:
            connection.close()
            raise

    @property
    def is_readable(self) -> bool:
        """Whether bytes that nobody requested have arrived, or its end."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close it."""
        self._closed(self)
        self._dialer.forget(self._guard)
        self._socket.close()

    def send(self, request: Outgoing, *, target: str) -> None:
        """Send a request with all of its body.

        A server may answer and hang up before it has all of it, to say why it does not want it: so a
        connection that is lost is not an error yet.
        """
        self._socket.settimeout(request.write_timeout)
        lines = [f"{request.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            if isinstance(request.body, tuple):  # a short one, together with its head
                self._socket.sendall(head + b"".join(request.body))
                return
            self._socket.sendall(head)
            if isinstance(request.body, SocketBody):
                request.body.send_over(self._socket)
                return
            for chunk in request.body:
                self._socket.sendall(chunk)
        except TimeoutError as error:
            self._dialer.require_open()
            raise WireError(FailureKind.NOT_TAKEN, printable(str(error))) from error
        except OSError:
            self._dialer.require_open()
        except ValueError:  # also of a socket that was closed meanwhile
            self._dialer.require_open()
            raise

    def receive(self, request: Outgoing) -> ResponseReader:
        """Wait for the head of the response."""
        incoming = _Incoming(self._socket, request.wait, self._dialer)
        request.wait.restart()
        with self.errors():
            return ResponseReader(io.BufferedReader(incoming, _CHUNK), method=request.method)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what reading raises into ``WireError``, and close the connection."""
        try:
            yield
        except (OSError, ValueError, DeadlineError) as error:
            self.close()
            self._dialer.require_open()
            raise WireError(_kind(error), printable(str(error)) or type(error).__name__) from error


class _Incoming(io.RawIOBase):
    """What arrives over a connection."""

    def __init__(self, connection: socket.socket, wait: Wait, dialer: Dialer) -> None:
        super().__init__()
        self._socket = connection
        self._wait = wait
        self._dialer = dialer

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill some of the buffer; return 0 at the end."""
        window = memoryview(buffer).cast("B")
        chunk = self._wait.read(
            lambda seconds: self._receive(len(window), seconds),
            timed_out=TimeoutError,
            require_open=self._dialer.require_open,
        )
        window[: len(chunk)] = chunk
        return len(chunk)

    def _receive(self, count: int, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        return self._socket.recv(count)


def _kind(error: Exception) -> FailureKind:
    if isinstance(error, DeadlineError):
        return FailureKind.DEADLINE
    if isinstance(error, TimeoutError):
        return FailureKind.STALLED
    if isinstance(error, OSError):
        return FailureKind.LOST
    return FailureKind.PROTOCOL
