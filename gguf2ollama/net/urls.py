"""URLs: where a request goes, how it is written on the wire, and what of it a message may show."""

from __future__ import annotations

import base64
import contextlib
from functools import lru_cache
from urllib.parse import quote, unquote, urljoin, urlsplit

from gguf2ollama._text import without_credentials
from gguf2ollama.errors import ServerRefused, UsageProblem

__all__ = [
    "credentials_in",
    "host_of",
    "origin_host",
    "origin_of",
    "public_url",
    "redirected",
    "request_target",
]

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


@lru_cache(maxsize=64)  # asked several times for each request
def host_of(url: str) -> str:
    """Return host and port of a URL as messages name them: no port where it is the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or "the server"
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in {None, usual} else f"{host}:{parts.port}"


def public_url(url: str) -> str:
    """Return a URL without user name, password, query and fragment.

    Raises:
        UsageProblem: It is not the URL of an HTTP server.
    """
    origin_of(url)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@lru_cache(maxsize=64)
def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL.

    Raises:
        UsageProblem: It is not the URL of an HTTP server.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        if usual and parts.hostname and url.isprintable():
            return parts.scheme, parts.hostname, parts.port or usual
    raise UsageProblem(
        f"invalid URL {without_credentials(url)[:200]!r}", hint="use a URL such as https://HOST/PATH"
    )


def origin_host(url: str) -> str:
    """Return the value of ``Host``."""
    host = host_of(url)
    return host if host.isascii() else host.encode("idna").decode("ascii")


def request_target(url: str) -> str:
    """Return a URL as it is sent: what may not stand in one is percent-encoded, credentials are left out."""
    parts = urlsplit(url)
    path = quote(parts.path, safe=_PATH_SAFE) or "/"
    query = quote(parts.query, safe=_PATH_SAFE + "?")
    return f"{parts.scheme}://{origin_host(url)}{path}{'?' if query else ''}{query}"


def credentials_in(url: str) -> dict[str, str]:
    """Return the header for the user name and password in a URL, if it has them."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads.

    Raises:
        ServerRefused: To no server, or from an encrypted connection to one that is not.
    """
    try:
        target = urljoin(url, location)
        scheme, host, _ = origin_of(target)
    except (UsageProblem, ValueError):
        location = ""
    if not location:
        raise ServerRefused(f"{host_of(url)} redirects to an invalid address", hint="check the address")
    if urlsplit(url).scheme == "https" and scheme != "https":
        raise ServerRefused(
            f"{host_of(url)} redirects to {host}, which is not encrypted", hint="check the address"
        )
    return target
