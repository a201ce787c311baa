"""The address of an Ollama server, in every form that ``OLLAMA_HOST`` accepts."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Mapping

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.names._shown import shown

__all__ = ["ServerAddress"]

_DEFAULT_HOST = "127.0.0.1"
_PORTS = {"http": 80, "https": 443}
_OLLAMA_PORT = 11434
_CLOUD_HOST = "ollama.com"
_MAX_PORT = 65535
_MAX_LENGTH = 2048
_MAX_NAME = 253
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_HOST_NAME = lazy_pattern(r"[a-z0-9_.-]+")
_IPV6 = lazy_pattern(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_PORT = lazy_pattern(r"[0-9]{1,5}")
_FORMS = "use host, host:port, [IPv6]:port or a URL such as http://127.0.0.1:11434"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """The address at which a client reaches a server.

    ``host`` is a name in lower case (A-labels for an international one) or an IP address without brackets;
    ``path`` is empty or begins with ``/``.
    """

    scheme: str = "http"
    host: str = _DEFAULT_HOST
    port: int = _OLLAMA_PORT
    path: str = ""

    @classmethod
    def parse(cls, text: str | None) -> ServerAddress:
        """Parse an address as Ollama parses ``OLLAMA_HOST``; ``None`` and an empty string are the default.

        Surrounding whitespace and quotes are ignored. A URL's port defaults to 80 or 443, any other to
        11434; an impossible port is ignored. ``0.0.0.0`` and ``::``, where a server listens on every
        interface, become the loopback address that a client can connect to. (Ollama's
        ``envconfig/config.go``: ``Host`` and ``ConnectableHost``; the Python client's ``_parse_host``.)

        Raises:
            UsageProblem: The text is not the address of an HTTP server.
        """
        rest = (text or "").strip().strip("\"'").strip()
        if len(rest) > _MAX_LENGTH:
            raise UsageProblem(f"the server address is longer than {_MAX_LENGTH} characters", hint=_FORMS)
        scheme, separator, after = rest.partition("://")
        if not separator:
            scheme, after, default_port = "http", rest, _OLLAMA_PORT
        elif scheme.lower() in _PORTS:
            scheme = scheme.lower()
            default_port = _PORTS[scheme]
        else:
            raise UsageProblem(f"unsupported scheme {shown(scheme)} in the server address", hint=_FORMS)
        if rest == _CLOUD_HOST:
            scheme, default_port = "https", 443
        authority, _, path = after.partition("/")
        host, port = _split_port(authority)
        return cls(
            scheme=scheme,
            host=_connectable(_read_host(host)),
            port=default_port if port is None else port,
            path=_read_path(path),
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ServerAddress:
        """Read the variable ``OLLAMA_HOST``.

        Raises:
            UsageProblem: The variable is not an address.
        """
        try:
            return cls.parse(environ.get("OLLAMA_HOST"))
        except UsageProblem as error:
            raise UsageProblem(f"OLLAMA_HOST: {error.message}", hint=error.hint) from error

    @property
    def base_url(self) -> str:
        """The base URL for ``/api/…``: with port, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is certainly on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return self.base_url


def _split_port(authority: str) -> tuple[str, int | None]:
    """Split host and port; the port is ``None`` if there is none, or an impossible one."""
    if "@" in authority:
        raise UsageProblem(
            "the server address must not contain a user name or password",
            hint="remove everything before the @",
        )
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _no_address(authority)
        port = rest[1:]
    elif authority.count(":") > 1:
        host, port = authority, ""
    else:
        host, _, port = authority.partition(":")
    number = int(port) if _PORT.fullmatch(port) else 0
    return host, number if 0 < number <= _MAX_PORT else None


def _read_host(text: str) -> str:
    if not text:
        return _DEFAULT_HOST
    if ":" in text:
        return _read_ipv6(text)
    try:
        host = text.lower().encode("idna").decode("ascii")
    except UnicodeError:
        raise _no_address(text) from None
    if len(host) > _MAX_NAME or not _HOST_NAME.fullmatch(host):
        raise _no_address(text)
    return host


def _read_ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text if _IPV6.fullmatch(text) else "")
    except ValueError:
        raise _no_address(text) from None
    return str(address.ipv4_mapped or address)


def _connectable(host: str) -> str:
    """Replace an address that only a listening socket can have with the loopback address."""
    return {"0.0.0.0": _DEFAULT_HOST, "::": "::1"}.get(host, host)  # noqa: S104 - replaced, not bound


def _read_path(text: str) -> str:
    if "?" in text or "#" in text or not text.isprintable():
        raise UsageProblem("invalid server address: only a path may follow the host", hint=_FORMS)
    path = urllib.parse.quote(text.strip("/ "), safe=_PATH_SAFE)
    return f"/{path}" if path else ""


def _no_address(text: str) -> UsageProblem:
    return UsageProblem(f"invalid server address {shown(text)}", hint=_FORMS)
