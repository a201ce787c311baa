"""Connect so that every wait can be ended from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gguf2ollama.net.failures import FailureKind
from gguf2ollama.net.proxies import is_loopback
from gguf2ollama.net.transport import WireError

__all__ = ["KEEP_ALIVE", "Dialer"]

_TICK = 0.1  # seconds


class _Closable(Protocol):
    def close(self) -> object: ...


_C = TypeVar("_C", bound=_Closable)


class Dialer:
    """Makes the connections of one client, and ends all of them at once.

    Each connection has a guard: a second handle to its socket, which can be shut down from any thread,
    whatever has become of the first (TLS takes it over).

    Attributes:
        closed: Set once no connection is wanted any more.
    """

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

    def connect(self, connect: Callable[[], _C], *, host: str) -> _C:
        """Return what ``connect`` returns.

        Neither the look-up of a name nor a connection attempt can be interrupted, so they happen on a thread
        that is left to itself when nobody waits for it any more; not for this machine, which answers at once.

        Raises:
            WireError: The client was closed.
        """
        if self.closed.is_set():
            raise WireError(FailureKind.CLOSED)
        if is_loopback(host):
            return connect()
        attempt = _Attempt(connect)
        try:
            while not attempt.is_done.wait(_TICK) and not self.closed.is_set():
                pass
        finally:
            result = attempt.take()
        if result is None:
            raise WireError(FailureKind.CLOSED)
        if isinstance(result, BaseException):
            raise result
        return result

    def guard(self, connection: socket.socket) -> socket.socket:
        """Return the guard of a connection; closed by :meth:`forget`.

        Raises:
            WireError: The client was closed.
        """
        guard = connection.dup()
        with self._lock:
            self._guards.add(guard)
        if self.closed.is_set():
            self.forget(guard)
            raise WireError(FailureKind.CLOSED)
        return guard

    def forget(self, guard: socket.socket) -> None:
        """Close the guard of a connection that is closed."""
        with self._lock:
            self._guards.discard(guard)
        guard.close()

    def require_open(self) -> None:
        """Raise ``WireError`` if the client was closed: then an error of a connection is no error of it."""
        if self.closed.is_set():
            raise WireError(FailureKind.CLOSED)


class _Attempt(Generic[_C]):
    """A connection that is made on a thread of its own; closed again if nobody takes it."""

    def __init__(self, connect: Callable[[], _C]) -> None:
        self.is_done = threading.Event()
        self._connect = connect
        self._result: _C | BaseException | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True, name="connect").start()

    def take(self) -> _C | BaseException | None:
        """Return what came of it; ``None`` when it is not done, and is then of no more use."""
        with self._lock:
            self._is_abandoned = True
            return self._result

    def _run(self) -> None:
        result: _C | BaseException
        try:
            result = self._connect()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result = error
        with self._lock:
            if not self._is_abandoned:
                self._result = result
            elif not isinstance(result, BaseException):
                result.close()
        self.is_done.set()


def _keep_alive() -> list[tuple[int, int, int]]:
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


KEEP_ALIVE = _keep_alive()
