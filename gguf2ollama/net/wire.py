"""Requests on the wire: httpcore2's pools, one for each proxy, and their exceptions by kind.

This module imports httpcore2 (40 ms of CPU) and is itself imported when the first request is sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpcore2

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import ServerProblem, UsageProblem
from gguf2ollama.net.certificates import trusted_certificates
from gguf2ollama.net.connections import Backend, ClosedError, DeadlineError
from gguf2ollama.net.failures import FailureKind, printable
from gguf2ollama.net.proxies import proxy_for
from gguf2ollama.net.socket_body import SocketBody, read_reply, send_request
from gguf2ollama.net.urls import host_of
from gguf2ollama.net.wait import Wait

__all__ = ["Answer", "Wire"]

_KEPT = 30.0  # seconds that an idle connection is kept
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_ENDED = ("Server disconnected", "peer closed connection")  # protocol errors to httpcore2 and h11
_KINDS: tuple[tuple[type[Exception], FailureKind], ...] = (
    (ClosedError, FailureKind.CLOSED),
    (DeadlineError, FailureKind.DEADLINE),
    (httpcore2.ConnectTimeout, FailureKind.CONNECT_TIMEOUT),
    (httpcore2.ConnectError, FailureKind.CONNECT),
    (httpcore2.ProxyError, FailureKind.PROXY),
    (httpcore2.WriteTimeout, FailureKind.NOT_TAKEN),
    (httpcore2.TimeoutException, FailureKind.STALLED),
    (httpcore2.NetworkError, FailureKind.LOST),
    (httpcore2.ProtocolError, FailureKind.PROTOCOL),
    (httpcore2.ConnectionNotAvailable, FailureKind.LOST),
)
"""What httpcore2 raises, the more special first; a test holds that none is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case.
        body: Its bytes as they come.
        close: Ends it.
        proxy: Host and port of the proxy that it came through.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes]
    close: Callable[[], None]
    proxy: str | None


class Wire:
    """The connections of one client.

    Args:
        ca_file: Certificates to trust in place of the system's.
    """

    def __init__(self, *, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self._pools: dict[tuple[str, str | None], httpcore2.ConnectionPool] = {}
        self._lock = threading.Lock()
        self.backend = Backend()

    def close(self) -> None:
        """End everything at once."""
        self.backend.close()
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Iterable[bytes],
        wait: Wait,
        connect_timeout: float,
        write_timeout: float,
    ) -> Answer:
        """Send a request and wait for the head of its answer; raises what :meth:`translate` explains."""
        if self.backend.closed.is_set():
            raise ClosedError
        proxy = proxy_for(url)
        if isinstance(body, SocketBody) and proxy is None and url.startswith("http:"):
            return self._send_over_socket(
                method,
                url,
                headers=headers,
                body=body,
                wait=wait,
                connect_timeout=connect_timeout,
                write_timeout=write_timeout,
            )
        pool = self._pool(url, proxy)
        limits = {"connect": connect_timeout, "read": wait, "write": write_timeout}
        wait.restart()
        request = httpcore2.Request(
            method.encode("ascii"),
            url.encode("ascii"),
            headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()],
            content=body,
            extensions={"timeout": limits},
        )
        try:
            response = pool.handle_request(request)
        except httpcore2.ProxyError as error:
            raise _ProxyFailure(error, proxy=host_of(proxy or "")) from error
        except httpcore2.ConnectError as error:
            if proxy is None:
                raise
            raise _ProxyFailure(error, proxy=host_of(proxy)) from error
        return Answer(
            status=response.status,
            headers=_joined(response.headers),
            body=response.iter_stream(),
            close=response.close,
            proxy=None if proxy is None else host_of(proxy),
        )

    def _send_over_socket(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: SocketBody,
        wait: Wait,
        connect_timeout: float,
        write_timeout: float,
    ) -> Answer:
        parts = urlsplit(url)
        stream = self.backend.connect_tcp(parts.hostname or "", parts.port or 80, timeout=connect_timeout)
        target = f"{parts.path}{'?' if parts.query else ''}{parts.query}"
        try:
            send_request(
                stream, method=method, target=target, headers=headers, body=body, timeout=write_timeout
            )
            wait.restart()
            status, found, content = read_reply(stream, method=method, wait=wait)
        finally:
            stream.close()
        return Answer(status=status, headers=_joined(found), body=(content,), close=stream.close, proxy=None)

    @contextlib.contextmanager
    def translate(self, explain: Callable[[FailureKind, str, str | None], ServerProblem]) -> Iterator[None]:
        """Turn what httpcore2 raises into what ``explain`` returns, with the original as its cause."""
        try:
            yield
        except _RAISED as error:
            if self.backend.closed.is_set():
                raise explain(FailureKind.CLOSED, "", None) from error
            cause: Exception = error
            proxy = None
            if isinstance(error, _ProxyFailure):
                cause, proxy = error.cause, error.proxy
            detail = printable(str(cause)) or type(cause).__name__
            raise explain(_kind(cause, detail, proxy), detail, proxy) from cause

    def _pool(self, url: str, proxy: str | None) -> httpcore2.ConnectionPool:
        key = urlsplit(url).scheme, proxy
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._open_pool(url, proxy)
            return self._pools[key]

    def _open_pool(self, url: str, proxy: str | None) -> httpcore2.ConnectionPool:
        try:
            return httpcore2.ConnectionPool(
                ssl_context=trusted_certificates(self._ca_file) if url.startswith("https:") else None,
                proxy=None if proxy is None else _proxy(url, proxy),
                max_connections=None,
                keepalive_expiry=_KEPT,
                network_backend=self.backend,
            )
        except OSError as error:
            named = f"the certificates in {self._ca_file}" if self._ca_file else "the trusted certificates"
            raise UsageProblem(
                f"{host_of(url)} cannot be reached: cannot read {named}: {error}",
                hint="name a PEM file with --ca" if self._ca_file else "check SSL_CERT_FILE and SSL_CERT_DIR",
            ) from error


class _ProxyFailure(Exception):
    """A connection that a proxy was to make."""

    def __init__(self, cause: Exception, *, proxy: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.proxy = proxy


_RAISED: tuple[type[Exception], ...] = (*(raised for raised, _ in _KINDS), _ProxyFailure)


def _kind(error: Exception, detail: str, proxy: str | None) -> FailureKind:
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return FailureKind.CERTIFICATE
    if isinstance(error, httpcore2.ProxyError) and detail.startswith("407"):
        return FailureKind.PROXY_CREDENTIALS
    if proxy is not None:
        return FailureKind.PROXY
    if detail.startswith(_ENDED):
        return FailureKind.LOST
    return next(kind for raised, kind in _KINDS if isinstance(error, raised))


def _proxy(url: str, proxy: str) -> httpcore2.Proxy:
    """Read the address of a proxy; no message shows the user name and password in it."""
    hint = "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: http://HOST:PORT"
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in _PROXY_PORTS:
        raise UsageProblem(
            f"{host_of(url)} cannot be reached: the environment names a proxy whose address is invalid",
            hint=hint,
        )
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise UsageProblem(
            f"{host_of(url)} is reached through a SOCKS proxy, which needs the package socksio",
            hint="install it with `pip install socksio`, or name the host in NO_PROXY",
        )
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    return httpcore2.Proxy(
        httpcore2.URL(scheme=parts.scheme, host=host, port=port or _PROXY_PORTS[parts.scheme], target=b"/"),
        auth=auth,
        ssl_context=trusted_certificates() if parts.scheme == "https" else None,
    )


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
