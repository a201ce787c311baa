"""Answers that come line by line, each line a JSON object."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from gguf2ollama.errors import ServerRefused
from gguf2ollama.ollama.errors import Asked, foreign_errors, printable, refusal
from gguf2ollama.ollama.fields import Fields

if TYPE_CHECKING:
    import httpx

__all__ = ["Stream", "raise_for_error", "read_fields"]

_LINE_LIMIT = 32 << 20  # bytes; Ollama's own client stops at 8 MB
_ANSWER_LIMIT = 512 << 20  # bytes; a verbose `show` carries the whole vocabulary
_ERROR_LIMIT = 64 << 10
_PIECE = 64 << 10
_FIRST_ERROR = 400
_FIRST_REDIRECT = 300
_HTML_TAG = re.compile(r"<[^<>]*>")
_T = TypeVar("_T")


class Stream(Generic[_T]):
    """The values of one answer, as they come.

    The work is under way once the stream is there. Iterate to the end; to stop early, close the stream (or
    leave its ``with`` block): that ends the work on the server. Errors come from iterating: the server's
    own, a connection that breaks off or stalls, and an answer that ends before it is complete.
    """

    def __init__(
        self,
        response: httpx.Response,
        *,
        parse: Callable[[Fields], _T],
        is_last: Callable[[_T], bool],
        is_flowing: Callable[[_T], bool] | None = None,
        asked: Asked,
    ) -> None:
        self._response = response
        self._parse = parse
        self._is_last = is_last
        self._is_flowing = is_flowing
        self._asked = asked
        self._values = self._read()

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        return next(self._values)

    def __enter__(self) -> Stream[_T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the work, or what is left of it."""
        self._response.close()
        self._values.close()

    def drain(self) -> _T:
        """Read to the end and give the last value."""
        last = next(self)
        for value in self:
            last = value
        return last

    def _read(self) -> Generator[_T, None, None]:
        asked, connection = self._asked, self._response.extensions["network_stream"]
        with foreign_errors(asked), contextlib.closing(self._response):
            for line in _lines(self._response, asked=asked):
                fields = Fields.parse(line, origin=asked.origin)
                if error := _error_in(fields):
                    raise refusal(error, status=0, asked=asked)
                value = self._parse(fields)
                if self._is_flowing is not None:
                    connection.is_patient = not self._is_flowing(value)
                yield value
                if self._is_last(value):
                    return
        raise ServerRefused(
            f"{asked.origin} ended before it was complete",
            hint="the server may have been stopped; run the same command again",
        )


def raise_for_error(response: httpx.Response, *, asked: Asked) -> None:
    """Raise what an answer with an error status says, with what to do about it.

    Raises:
        Gguf2OllamaError: The class that fits the server's text (see ``explain``).
    """
    if response.status_code < _FIRST_REDIRECT:
        return
    if response.status_code < _FIRST_ERROR:
        raise ServerRefused(
            f"{asked.origin} redirects to {printable(response.headers.get('location', 'nowhere'))}",
            hint="give that address in OLLAMA_HOST (or --host) if it is the server that you mean",
            status=response.status_code,
        )
    body = bytearray()
    for piece in response.iter_bytes(_PIECE):
        body += piece
        if len(body) >= _ERROR_LIMIT:
            break
    text = body.decode("utf-8", errors="replace")
    try:
        said = _error_in(Fields.parse(text, origin=asked.origin))
    except ServerRefused:
        said = _HTML_TAG.sub(" ", text) if text.lstrip()[:1] == "<" else text
    raise refusal(said, status=response.status_code, asked=asked)


def read_fields(response: httpx.Response, *, asked: Asked) -> Fields:
    """Read an answer that is one JSON object.

    Raises:
        ServerRefused: It is something else, an error, or longer than any honest answer.
    """
    body = bytearray()
    for piece in response.iter_bytes(_PIECE):
        body += piece
        if len(body) > _ANSWER_LIMIT:
            raise _too_long(asked, _ANSWER_LIMIT)
    fields = Fields.parse(bytes(body), origin=asked.origin)
    if error := _error_in(fields):
        raise refusal(error, status=response.status_code, asked=asked)
    return fields


def _lines(response: httpx.Response, *, asked: Asked) -> Iterator[bytes]:
    """Cut the body at its newlines; empty lines are left out."""
    rest = bytearray()
    for piece in response.iter_bytes():
        start = len(rest)
        rest += piece
        while (end := rest.find(b"\n", start)) >= 0:
            if line := bytes(rest[:end]).strip():
                yield line
            del rest[: end + 1]
            start = 0
        if len(rest) > _LINE_LIMIT:
            raise _too_long(asked, _LINE_LIMIT)
    if line := bytes(rest).strip():
        yield line


def _error_in(fields: Fields) -> str:
    """Return the error that an answer tells; llama-server and proxies wrap theirs in an object."""
    error = fields.content.get("error")
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error) if error else ""


def _too_long(asked: Asked, limit: int) -> ServerRefused:
    return ServerRefused(
        f"{asked.origin} sent more than {limit:,} bytes where an answer was due",
        hint="check that OLLAMA_HOST (or --host) leads to Ollama and not to another server",
    )
