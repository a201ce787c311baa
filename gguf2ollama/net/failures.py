"""What goes wrong between here and a server, as our errors in the user's words."""

from __future__ import annotations

import enum

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import ServerProblem, ServerStalled, ServerUnreachable
from gguf2ollama.net.urls import host_of

__all__ = ["ClientClosed", "Failure", "FailureKind", "explain", "printable"]

_DETAIL_LIMIT = 300
_NETWORK = "check the network and the address"
_PROXIES = "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the host in NO_PROXY"


class ClientClosed(ServerUnreachable):
    """The client was closed while the request was under way."""


class FailureKind(enum.Enum):
    """What went wrong before an answer was complete."""

    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect timeout"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    PROXY_CREDENTIALS = "proxy credentials"
    STALLED = "stalled"
    NOT_TAKEN = "not taken"
    DEADLINE = "deadline"
    LOST = "lost"
    PROTOCOL = "protocol"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that failed before its answer was complete.

    Attributes:
        kind: What went wrong.
        method: Of the request.
        url: Of the request, without credentials and query.
        detail: What the system says, safe to print.
        seconds: How long was waited, for stalls and deadlines.
        proxy: Host and port of the proxy, if there is one.
    """

    kind: FailureKind
    method: str
    url: str
    detail: str
    seconds: float = 0.0
    proxy: str | None = None

    @property
    def host(self) -> str:
        """The server, as messages name it."""
        return host_of(self.url)


_LATER = "try again later"
_MEANINGS: dict[FailureKind, tuple[type[ServerProblem], str, str]] = {
    FailureKind.CONNECT: (ServerUnreachable, "cannot connect to {host}: {detail}", _NETWORK),
    FailureKind.CONNECT_TIMEOUT: (
        ServerUnreachable,
        "cannot connect to {host}: no response within {seconds:g} s",
        _NETWORK,
    ),
    FailureKind.CERTIFICATE: (
        ServerUnreachable,
        "the certificate of {host} cannot be verified: {detail}",
        "if you trust its authority, name the authority's certificate: SSL_CERT_FILE=FILE",
    ),
    FailureKind.PROXY: (ServerUnreachable, "the proxy {proxy} cannot connect to {host}: {detail}", _PROXIES),
    FailureKind.PROXY_CREDENTIALS: (
        ServerUnreachable,
        "the proxy {proxy} requires a user name and password (HTTP 407)",
        "set them in HTTPS_PROXY or HTTP_PROXY: http://USER:PASSWORD@HOST:PORT",
    ),
    FailureKind.STALLED: (ServerStalled, "{host} stopped responding: no data for {seconds:g} s", _LATER),
    FailureKind.NOT_TAKEN: (ServerStalled, "{host} accepted no data for {seconds:g} s", _LATER),
    FailureKind.DEADLINE: (
        ServerStalled,
        "{host} is too slow: the response was not complete within {seconds:g} s",
        _LATER,
    ),
    FailureKind.LOST: (
        ServerUnreachable,
        "the connection to {host} was lost: {detail}",
        "run the same command again",
    ),
    FailureKind.PROTOCOL: (
        ServerUnreachable,
        "invalid HTTP response from {host}: {detail}",
        "check the address, and whether the network requires you to sign in first",
    ),
    FailureKind.CLOSED: (ClientClosed, "the connection to {host} was closed", "run the same command again"),
}


def explain(failure: Failure) -> ServerProblem:
    """Return the error for a failure."""
    kind, message, hint = _MEANINGS[failure.kind]
    text = message.format(
        host=failure.host, detail=failure.detail, seconds=failure.seconds, proxy=failure.proxy
    )
    return kind(text, hint=hint)


def printable(text: str, *, limit: int = _DETAIL_LIMIT) -> str:
    """Make a text of a server safe for a terminal: one line of at most so many characters."""
    one_line = " ".join(text[: 4 * limit].split())
    kept = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in one_line)
    return kept if len(kept) <= limit else f"{kept[:limit]}…"
