"""Connections that can be ended from another thread, and that wait as their request says.

This module imports httpcore2 (40 ms of CPU) and is itself imported when the first request is sent.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable

import httpcore2

from gguf2ollama.net.proxies import is_loopback
from gguf2ollama.net.wait import Wait

__all__ = ["Backend", "ClosedError", "DeadlineError"]

_SLICE = 1.0  # seconds; on Windows Ctrl-C is noticed only between two waits


class ClosedError(Exception):
    """The client was closed while something waited on it."""


class DeadlineError(httpcore2.ReadTimeout):
    """The answer was not complete in time."""


class Backend(httpcore2.SyncBackend):
    """Opens connections, and ends all of them at once when it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._guards: set[socket.socket] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End every wait: connections under way, open ones, and those that are still to come."""
        self.closed.set()
        with self._lock:
            guards = list(self._guards)
        for guard in guards:
            with contextlib.suppress(OSError):
                guard.shutdown(socket.SHUT_RDWR)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Open a connection.

        Neither the look-up of a name nor a connection attempt can be interrupted, so they happen on a thread
        that is left to itself when nobody waits for it any more; not for this machine, which answers at once.
        """
        options = [*(socket_options or ()), *_KEEP_ALIVE]

        def connect() -> httpcore2.NetworkStream:
            try:
                return super(Backend, self).connect_tcp(host, port, timeout, local_address, options)
            except UnicodeError as error:  # the resolver refuses to encode such a host name
                raise httpcore2.ConnectError(f"{host!r} is not a host name") from error

        stream = connect() if is_loopback(host) else self._on_thread(connect)
        return self._guarded(stream)

    def _on_thread(self, connect: Callable[[], httpcore2.NetworkStream]) -> httpcore2.NetworkStream:
        attempt = _Attempt(connect)
        try:
            while not attempt.is_done.wait(_SLICE / 10) and not self.closed.is_set():
                pass
        finally:
            result = attempt.take()
        if result is None:
            raise ClosedError
        if isinstance(result, BaseException):
            raise result
        return result

    def _guarded(self, stream: httpcore2.NetworkStream) -> Connection:
        guard: socket.socket = stream.get_extra_info("socket").dup()
        with self._lock:
            self._guards.add(guard)
        connection = Connection(stream, guard=guard, backend=self)
        if self.closed.is_set():
            connection.close()
            raise ClosedError
        return connection

    def forget(self, guard: socket.socket) -> None:
        """Close the guard of a connection that is closed."""
        with self._lock:
            self._guards.discard(guard)
        guard.close()


class _Attempt:
    """A connection that is made on a thread of its own; closed again if nobody takes it."""

    def __init__(self, connect: Callable[[], httpcore2.NetworkStream]) -> None:
        self.is_done = threading.Event()
        self._connect = connect
        self._result: httpcore2.NetworkStream | BaseException | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True, name="connect").start()

    def take(self) -> httpcore2.NetworkStream | BaseException | None:
        """Return what came of it; ``None`` when it is not done, and is then of no more use."""
        with self._lock:
            self._is_abandoned = True
            return self._result

    def _run(self) -> None:
        result: httpcore2.NetworkStream | BaseException
        try:
            result = self._connect()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result = error
        with self._lock:
            if not self._is_abandoned:
                self._result = result
            elif isinstance(result, httpcore2.NetworkStream):
                result.close()
        self.is_done.set()


class Connection(httpcore2.NetworkStream):
    """One connection.

    Its guard is a second handle to the same socket: that one can be shut down from any thread, whatever has
    become of the first (TLS takes it over).
    """

    def __init__(self, stream: httpcore2.NetworkStream, *, guard: socket.socket, backend: Backend) -> None:
        self._stream = stream
        self._guard = guard
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | Wait | None = None) -> bytes:
        """Wait for bytes, as the request's :class:`Wait` says; return none at the end."""
        wait = timeout if isinstance(timeout, Wait) else Wait(idle=30.0 if timeout is None else timeout)
        while True:
            if wait.is_past_deadline:
                raise DeadlineError
            try:
                content = self._stream.read(max_bytes, timeout=max(0.001, min(_SLICE, wait.seconds_left())))
            except httpcore2.ReadTimeout:
                self._require_open()
                if wait.goes_on():
                    continue
                if wait.is_past_deadline:
                    raise DeadlineError from None
                raise
            except httpcore2.ReadError:
                self._require_open()
                raise
            if not content:
                self._require_open()
            wait.restart()
            return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        try:
            self._stream.write(buffer, timeout)
        except httpcore2.WriteError:
            self._require_open()
            raise

    def close(self) -> None:
        """Close it."""
        self._backend.forget(self._guard)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Encrypt it."""
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self._backend.forget(self._guard)
            self._require_open()
            raise
        return Connection(stream, guard=self._guard, backend=self._backend)

    def get_extra_info(self, info: str) -> object:
        """Return what the transport knows, such as its ``socket``."""
        return self._stream.get_extra_info(info)

    def _require_open(self) -> None:
        if self._backend.closed.is_set():
            raise ClosedError


def _keep_alive() -> list[httpcore2.SOCKET_OPTION]:
    """TCP keep-alive: after 30 s of silence, a probe every 10 s, lost after 6 (where it can be set)."""
    figures = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
    return [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *(
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in figures.items()
            if hasattr(socket, name)
        ),
    ]


_KEEP_ALIVE = _keep_alive()
