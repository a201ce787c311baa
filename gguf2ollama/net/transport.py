"""What both transports share: that of httpcore2 (``wire``) and our own for plain connections (``plain``)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from gguf2ollama._dataclass import dataclass
from gguf2ollama.net.failures import FailureKind
from gguf2ollama.net.wait import Wait

__all__ = ["Answer", "Outgoing", "SocketBody", "WireError", "join_headers"]


class WireError(Exception):
    """A request that failed before its response was complete.

    Args:
        kind: What went wrong.
        detail: What the system says, safe to print.
        proxy: Host and port of the proxy that was to connect, if one was.
    """

    def __init__(self, kind: FailureKind, detail: str = "", *, proxy: str | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.proxy = proxy


@runtime_checkable
class SocketBody(Protocol):
    """A body that can be read in chunks, or copy itself into a socket (``sendfile``)."""

    def __iter__(self) -> Iterator[bytes]:
        """Read it in chunks, where it has to pass through this process."""

    def send_over(self, connection: socket.socket) -> None:
        """Send it over a connection; raises ``OSError`` when that is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request as it goes over the wire.

    Attributes:
        method: The HTTP method.
        url: With what may not stand in one percent-encoded, and without credentials.
        headers: All of them; the length of the body is among them.
        body: Its bytes.
        wait: The patience of the reads of its response.
        connect_timeout: Seconds for the connection.
        write_timeout: Seconds in which the server has to accept some more of the body.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Iterable[bytes] | SocketBody
    wait: Wait
    connect_timeout: float
    write_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response whose body is unread.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case.
        body: Its bytes as they arrive; iterating raises ``WireError``.
        close: Ends it.
        proxy: Host and port of the proxy that it came through.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]
    close: Callable[[], None]
    proxy: str | None = None


def join_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name in lower case; those that come several times are joined by commas."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
