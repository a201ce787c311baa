"""The way to the server: httpx over connections that wait as long as the server lives.

Loading a model of a hundred gigabytes or hashing one at ``create`` may take minutes without a byte on the
wire, so a timeout cannot tell work from death. A request that may take long therefore has no read timeout;
instead, each time nothing came for ``stall_timeout`` seconds the server is asked for its version on a
connection of its own. While it answers, the wait goes on. TCP keep-alive notices the case in between: a
server that lives, but lost this one connection.

The waiting is done in slices of a second on the caller's own thread, so that Ctrl-C works at once on every
system and nothing is left running.

This module imports httpx (170 ms) and is itself imported when a client is opened, not before.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ollama.blob_body import PiecesBody
from gguf2ollama.ollama.sending import read_reply, send_request

# httpx imports its own command line (rich, pygments: as long again as itself) where it can, and goes without
# where it cannot: None says that there is no such module
_HTTPX_COMMAND = "httpx._main"
_is_hidden = sys.modules.setdefault(_HTTPX_COMMAND, None) is None  # type: ignore[arg-type]
try:
    import httpx
finally:
    if _is_hidden:
        del sys.modules[_HTTPX_COMMAND]

__all__ = ["PatientTransport", "open_http"]

CONNECT_TIMEOUT = 10.0
_HTTP_PORT = 80
_SLICE = 1.0
_CANNOT_SAY = (
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
)


def open_http(base_url: str, *, is_loopback: bool, stall_timeout: float) -> httpx.Client:
    """Open a client for one server.

    Redirects are not followed: a request with a body must not wander off to another host. A proxy of the
    environment is used as httpx would use it, except to reach this very machine.

    Raises:
        UsageProblem: The certificates or the proxy that the environment names cannot be used.
    """
    return httpx.Client(
        base_url=base_url,
        transport=PatientTransport(
            base_url, proxy=None if is_loopback else proxy_for(base_url), stall_timeout=stall_timeout
        ),
        timeout=httpx.Timeout(stall_timeout, connect=CONNECT_TIMEOUT, pool=None),
        headers={"User-Agent": "gguf2ollama", "Accept": "application/json, application/x-ndjson"},
        trust_env=False,
    )


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment (or the system's settings) names for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


class PatientTransport(httpx.BaseTransport):
    """A connection pool whose reads without a timeout end when the server no longer answers.

    Args:
        base_url: The server, without the path of an endpoint.
        proxy: The proxy to go through.
        stall_timeout: Seconds of silence after which the server is asked whether it lives, and seconds it
            then has to answer.
    """

    def __init__(self, base_url: str, *, proxy: str | None, stall_timeout: float) -> None:
        self._probe_url = f"{base_url.rstrip('/')}/api/version"
        self._stall_timeout = stall_timeout
        self._backend = _PatientBackend(stall_timeout=stall_timeout, is_alive=self._is_alive)
        self._pool = _open_pool(base_url, proxy=proxy, backend=self._backend)
        self._is_plain = proxy is None and urlsplit(base_url).scheme == "http"
        self._sending: set[httpcore.NetworkStream] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpcore's exceptions, whose names are those of httpx."""
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("the body of a request is read synchronously")
        if self._is_plain and isinstance(body := request.extensions.get("pieces"), PiecesBody):
            return self._send_pieces(request, body)
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections, also those in use."""
        self._pool.close()
        for stream in list(self._sending):
            with contextlib.suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def _send_pieces(self, request: httpx.Request, body: PiecesBody) -> httpx.Response:
        """Send a request over a connection of its own, into which the system copies the body."""
        limits = request.extensions["timeout"]
        stream = self._backend.connect_tcp(
            request.url.host, request.url.port or _HTTP_PORT, timeout=limits["connect"]
        )
        self._sending.add(stream)
        try:
            send_request(
                stream,
                method=request.method.encode("ascii"),
                target=request.url.raw_path,
                headers=request.headers.raw,
                body=body,
                timeout=limits["write"],
            )
            reply = read_reply(stream, method=request.method, timeout=limits["read"])
        finally:
            self._sending.discard(stream)
            stream.close()
        return httpx.Response(status_code=reply.status, headers=reply.headers, content=reply.content)

    def _is_alive(self) -> bool:
        """Ask the server for its version, on another connection than the one that waits."""
        limits = {"connect": CONNECT_TIMEOUT, "read": self._stall_timeout, "write": self._stall_timeout}
        try:
            with self._pool.stream("GET", self._probe_url, extensions={"timeout": limits}) as response:
                return response.status < httpx.codes.INTERNAL_SERVER_ERROR
        except _CANNOT_SAY:
            return False


class _Body(httpx.SyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _PatientBackend(httpcore.SyncBackend):
    """Opens connections that are patient (see the module's docstring)."""

    def __init__(self, *, stall_timeout: float, is_alive: Callable[[], bool]) -> None:
        self._stall_timeout = stall_timeout
        self._is_alive = is_alive

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        options = [*(socket_options or ()), *_KEEP_ALIVE]
        try:
            stream = super().connect_tcp(host, port, timeout, local_address, options)
        except UnicodeError as error:  # the resolver refuses to encode such a host name
            raise httpcore.ConnectError(f"{host!r} is no host name") from error
        return _PatientStream(stream, stall_timeout=self._stall_timeout, is_alive=self._is_alive)


class _PatientStream(httpcore.NetworkStream):
    """One connection. A read with a timeout ends with it; one without waits for as long as all is well.

    Attributes:
        is_patient: Cleared by the reader of an answer while its bytes should flow: silence is then a stall,
            even if the server lives.
    """

    def __init__(
        self, stream: httpcore.NetworkStream, *, stall_timeout: float, is_alive: Callable[[], bool]
    ) -> None:
        self.is_patient = True
        self._stream = stream
        self._stall_timeout = stall_timeout
        self._is_alive = is_alive

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        began = time.monotonic()
        limit = self._stall_timeout if timeout is None else timeout
        while True:
            left = limit - (time.monotonic() - began)
            try:
                return self._stream.read(max_bytes, timeout=max(0.001, min(_SLICE, left)))
            except httpcore.ReadTimeout:
                if time.monotonic() - began < limit:
                    continue
                if timeout is not None or not self.is_patient or not self._is_alive():
                    raise
                began = time.monotonic()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _PatientStream(stream, stall_timeout=self._stall_timeout, is_alive=self._is_alive)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _open_pool(base_url: str, *, proxy: str | None, backend: _PatientBackend) -> httpcore.ConnectionPool:
    via = None
    if proxy is not None and proxy.startswith("socks") and find_spec("socksio") is None:
        raise UsageProblem(
            f"{base_url} is to be reached through a SOCKS proxy, which needs the package socksio",
            hint="install it with `pip install socksio`, or name the host in NO_PROXY",
        )
    try:
        if proxy is not None:
            named = httpx.Proxy(proxy)
            via = httpcore.Proxy(
                str(named.url),
                auth=named.raw_auth,
                headers=named.headers.raw,
                ssl_context=httpx.create_ssl_context() if named.url.scheme == "https" else None,
            )
        is_https = urlsplit(base_url).scheme == "https"
        context = httpx.create_ssl_context() if is_https else None
    except (OSError, ssl.SSLError, ValueError, httpx.InvalidURL) as error:
        raise UsageProblem(
            f"{base_url} cannot be reached the way the environment asks: {error}",
            hint="check SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
        ) from error
    return httpcore.ConnectionPool(
        ssl_context=context, proxy=via, max_connections=None, network_backend=backend
    )


def _keep_alive() -> list[httpcore.SOCKET_OPTION]:
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
