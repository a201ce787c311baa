"""Connections of httpcore2 that can be ended from another thread, and that wait as their request says.

This module imports httpcore2 (40 ms of CPU) and is itself imported when it is first needed.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable

import httpcore2

from gguf2ollama.net.dialing import KEEP_ALIVE, Dialer
from gguf2ollama.net.wait import Wait

__all__ = ["Backend"]


class Backend(httpcore2.SyncBackend):
    """Opens connections.

    Args:
        dialer: Makes them.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Open a connection."""
        options = [*(socket_options or ()), *KEEP_ALIVE]

        def connect() -> httpcore2.NetworkStream:
            try:
                return super(Backend, self).connect_tcp(host, port, timeout, local_address, options)
            except UnicodeError as error:  # the resolver refuses to encode such a host name
                raise httpcore2.ConnectError(f"{host!r} is not a host name") from error

        stream = self._dialer.connect(connect, host=host)
        try:
            guard = self._dialer.guard(stream.get_extra_info("socket"))
        except BaseException:
            stream.close()
            raise
        return _Connection(stream, guard=guard, dialer=self._dialer)


class _Connection(httpcore2.NetworkStream):
    """One connection, and its guard."""

    def __init__(self, stream: httpcore2.NetworkStream, *, guard: socket.socket, dialer: Dialer) -> None:
        self._stream = stream
        self._guard = guard
        self._dialer = dialer

    def read(self, max_bytes: int, timeout: float | Wait | None = None) -> bytes:
        """Wait for bytes, as the request's :class:`Wait` says; return none at the end."""
        wait = timeout if isinstance(timeout, Wait) else Wait(idle=30.0 if timeout is None else timeout)
        try:
            return wait.read(
                lambda seconds: self._stream.read(max_bytes, timeout=seconds),
                timed_out=httpcore2.ReadTimeout,
                require_open=self._dialer.require_open,
            )
        except httpcore2.ReadError:
            self._dialer.require_open()
            raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        try:
            self._stream.write(buffer, timeout)
        except httpcore2.WriteError:
            self._dialer.require_open()
            raise

    def close(self) -> None:
        """Close it."""
        self._dialer.forget(self._guard)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Encrypt it."""
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self._dialer.forget(self._guard)
            self._dialer.require_open()
            raise
        return _Connection(stream, guard=self._guard, dialer=self._dialer)

    def get_extra_info(self, info: str) -> object:
        """Return what the transport knows, such as its ``socket``."""
        return self._stream.get_extra_info(info)
