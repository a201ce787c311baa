"""A response, whose body is read as it arrives and never beyond its limit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from gguf2ollama.errors import ServerProblem, ServerRefused
from gguf2ollama.net.failures import printable
from gguf2ollama.net.urls import host_of
from gguf2ollama.net.wait import Wait

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Response", "refusal"]

_FIRST_ERROR, _TOO_MANY, _SERVER_ERROR = 400, 429, 500
_ERROR_LIMIT = 64 << 10  # bytes of an error's text
_HIDDEN = b"(credentials)"
_Bytes = TypeVar("_Bytes", bytes, bytearray)


class Response:
    """A response, whose body is read as it arrives; a context manager.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case; those that come several times are joined by commas.
        url: Where it came from after redirects.
        wait: The patience of its reads.

    A server may send credentials back that it was sent: what is read as text, and headers, are without them.
    """

    def __init__(
        self,
        *,
        status: int,
        headers: Mapping[str, str],
        url: str,
        wait: Wait,
        body: Iterable[bytes],
        close: Callable[[], None],
        translate: Callable[[], contextlib.AbstractContextManager[None]],
        secrets: Iterable[str] = (),
    ) -> None:
        self._secrets = tuple(secret.encode("latin-1", "replace") for secret in secrets)
        self.status = status
        self.headers = (
            {
                name: self.hide(value.encode("latin-1", "replace")).decode("latin-1")
                for name, value in headers.items()
            }
            if self._secrets
            else headers
        )
        self.url = url
        self.wait = wait
        self._body = iter(body)
        self._close = close
        self._translate = translate

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the connection is kept for others if the body was read to its end."""
        self._close()

    def hide(self, content: _Bytes) -> _Bytes:
        """Return some of the body without credentials."""
        for secret in self._secrets:
            content = content.replace(secret, _HIDDEN)
        return content

    def chunks(self) -> Iterator[bytes]:
        """Return the bytes of the body as they come.

        Raises:
            ServerProblem: The connection was lost or stalled.
        """
        while True:
            with self._translate():
                chunk = next(self._body, None)
            if chunk is None:
                return
            if chunk:
                yield chunk

    def read(self, *, limit: int) -> bytearray:
        """Read the whole body.

        Raises:
            ServerRefused: It is longer than ``limit`` bytes, or compressed though that was not requested.
            ServerProblem: As :meth:`chunks`.
        """
        self.require_plain()
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > limit:
                raise ServerRefused(
                    f"{host_of(self.url)} sent more than {limit:,} bytes where a short response was expected",
                    hint="check the address",
                )
        return self.hide(content)

    def read_start(self, *, limit: int = _ERROR_LIMIT) -> bytes:
        """Read the beginning of the body, for an error's text; empty where none comes."""
        content = bytearray()
        with contextlib.suppress(ServerProblem):
            for chunk in self.chunks():
                content += chunk
                if len(content) >= limit:
                    break
        return self.hide(bytes(content[:limit]))

    def require_plain(self) -> None:
        """Refuse a body that is compressed.

        Raises:
            ServerRefused: It is.
        """
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding not in {"", "identity"}:
            raise ServerRefused(
                f"{host_of(self.url)} sent compressed data ({printable(encoding)[:40]}) without request",
                hint="look at the proxy between here and the server",
            )


def refusal(response: Response) -> ServerRefused:
    """Return the error for an answer with an error status, where its site has no better word."""
    status, host = response.status, host_of(response.url)
    if status == _TOO_MANY:
        wait = response.headers.get("retry-after", "")
        hint = f"wait {wait} s, then try again" if wait.isdigit() else "wait some minutes, then try again"
        return ServerRefused(f"rate limited by {host} (HTTP {status})", hint=hint, status=status)
    what = f"{host} returned HTTP {status}"
    if status < _FIRST_ERROR:
        what += f", a redirect to {printable(response.headers.get('location', 'nowhere'))}"
    return ServerRefused(
        what, hint="try again later" if status >= _SERVER_ERROR else "check the address", status=status
    )
