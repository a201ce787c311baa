"""Requests over httpcore2's pools, one for each proxy: encrypted, or through one, or both.

This module imports httpcore2 (40 ms of CPU) and is itself imported when it is first needed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpcore2

from gguf2ollama.errors import UsageProblem
from gguf2ollama.net.certificates import trusted_certificates
from gguf2ollama.net.connections import Backend
from gguf2ollama.net.dialing import Dialer
from gguf2ollama.net.failures import FailureKind, printable
from gguf2ollama.net.transport import Answer, Outgoing, WireError, join_headers
from gguf2ollama.net.urls import host_of
from gguf2ollama.net.wait import DeadlineError

__all__ = ["PooledTransport"]

_KEPT = 30.0  # seconds that an idle connection is kept
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_ENDED = ("Server disconnected", "peer closed connection")  # protocol errors to httpcore2 and h11
_KINDS: tuple[tuple[type[Exception], FailureKind], ...] = (
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

_RAISED = tuple(raised for raised, _ in _KINDS)


class PooledTransport:
    """Connections to any server, through the proxies that the environment names.

    Args:
        dialer: Makes the connections.
        ca_file: Certificates to trust in place of the system's.
    """

    def __init__(self, dialer: Dialer, *, ca_file: Path | None) -> None:
        self._dialer = dialer
        self._ca_file = ca_file
        self._pools: dict[tuple[str, str | None], httpcore2.ConnectionPool] = {}
        self._lock = threading.Lock()
        self._backend = Backend(dialer)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.close()

    def send(self, request: Outgoing, *, proxy: str | None) -> Answer:
        """Send a request and wait for the head of its response; raises ``WireError``."""
        self._dialer.require_open()
        pool = self._pool(request.url, proxy)
        limits = {"connect": request.connect_timeout, "read": request.wait, "write": request.write_timeout}
        request.wait.restart()
        with _wire_errors(proxy):
            response = pool.handle_request(
                httpcore2.Request(
                    request.method.encode("ascii"),
                    request.url.encode("ascii"),
                    headers=[
                        (name.encode("ascii"), value.encode("latin-1"))
                        for name, value in request.headers.items()
                    ],
                    content=request.body,
                    extensions={"timeout": limits},
                )
            )
        return Answer(
            status=response.status,
            headers=join_headers(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
            ),
            body=_chunks(response),
            close=response.close,
            proxy=None if proxy is None else host_of(proxy),
        )

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
                network_backend=self._backend,
            )
        except OSError as error:
            named = f"the certificates in {self._ca_file}" if self._ca_file else "the trusted certificates"
            raise UsageProblem(
                f"{host_of(url)} cannot be reached: cannot read {named}: {error}",
                hint="name a PEM file with --ca" if self._ca_file else "check SSL_CERT_FILE and SSL_CERT_DIR",
            ) from error


def _chunks(response: httpcore2.Response) -> Iterator[bytes]:
    with _wire_errors(None):
        yield from response.iter_stream()


@contextlib.contextmanager
def _wire_errors(proxy: str | None) -> Iterator[None]:
    """Turn what httpcore2 raises into ``WireError``; with a proxy, what keeps it from connecting is its."""
    try:
        yield
    except _RAISED as error:
        detail = printable(str(error)) or type(error).__name__
        is_proxys = isinstance(error, httpcore2.ProxyError | httpcore2.ConnectError) and proxy is not None
        named = host_of(proxy) if is_proxys and proxy is not None else None
        raise WireError(_kind(error, detail, named), detail, proxy=named) from error


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
    if not host or not host.isascii() or parts.scheme not in _PROXY_PORTS:
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
