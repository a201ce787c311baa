"""A file over HTTP: ranges of it on request, and never bytes of another state of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotFound, ServerRefused, ServerStalled
from gguf2ollama.ggufio.sniff import HEAD_BYTES, describe_stranger
from gguf2ollama.net import Budget, ByteRange, HttpClient, Response, check_content_range, content_length

if TYPE_CHECKING:
    from typing import Self

__all__ = ["RemoteFile", "Slice", "mark_of"]

_PARTIAL, _NO_SUCH_RANGE = 206, 416
_NOT_FOUND, _TOO_MANY, _DENIED = 404, 429, frozenset({401, 403})
_CLIENT_ERRORS = range(400, 500)
_LATER = "try again later; if it fails again, download the file and use that"
_LEAST_BYTES, _LEAST_SECONDS = 16 << 10, 60.0  # a connection that brings less is as good as stalled
_PROGRESS_BYTES = 1 << 10  # of one answer, so that a server that drips uses up its attempts


class _StaleAddressError(Gguf2OllamaError):
    """The address that a redirect led to is refused; the file's own address may lead to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """An answer with bytes of the file; a context manager, which closes it.

    Attributes:
        response: The answer.
        start: The first byte that comes.
        end: The one behind the last.
        is_whole: Whether the server sends the whole file, whatever was asked for.
        name: What messages call the file.
    """

    response: Response
    start: int
    end: int
    is_whole: bool
    name: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()

    def chunks(self, budget: Budget | None = None) -> Iterator[bytes]:
        """Return the bytes as they come; the budget starts over while enough of them come.

        Raises:
            ServerProblem: The connection broke off, stalled, or is too slow to be of any use.
        """
        left, counted, since = self.end - self.start, 0, time.monotonic()
        for chunk in self.response.chunks():
            left -= len(chunk)
            counted += len(chunk)
            if left < 0:
                raise ServerRefused(f"{self.name}: the server sent more bytes than announced", hint=_LATER)
            if budget is not None and (left == 0 or self.end - self.start - left >= _PROGRESS_BYTES):
                budget.progress()
            if counted >= _LEAST_BYTES:
                counted, since = 0, time.monotonic()
            elif left and time.monotonic() - since > _LEAST_SECONDS:
                raise _temporary(
                    ServerStalled(
                        f"{self.name}: only {counted:,} bytes came within {_LEAST_SECONDS:g} s", hint=_LATER
                    )
                )
            yield chunk
        if left:  # an answer that ends with its connection
            raise _temporary(
                ServerStalled(f"{self.name}: the connection ended {left:,} bytes early", hint=_LATER)
            )


class RemoteFile:
    """One file at a URL.

    Redirects are followed, and where they led is asked from then on until that is refused: a signed address
    lives for some minutes. It may be used from several threads.

    Args:
        http: Connections; its own headers go to the origin it was made for, and nowhere else.
        url: Where the file is.
        name: What messages call it.
        size: Bytes of it, where they are known.
        mark: What the server calls this state of it (``ETag``, else ``Last-Modified``), where that is known.
        has_digest: Whether a digest is known, so that nothing depends on the server's mark.
        refuse: Returns the error for an answer that refuses the file.
        unexpected: Returns the error for an answer with something else than the file.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        *,
        name: str,
        size: int | None = None,
        mark: str = "",
        has_digest: bool = False,
        refuse: Callable[[Response], Gguf2OllamaError] | None = None,
        unexpected: Callable[[str], Gguf2OllamaError] | None = None,
    ) -> None:
        self.http = http
        self.name = name
        self.mark = mark
        self._size = size
        self._url = self._direct = url
        self._has_digest = has_digest
        self._refuse = refuse or self._refusal
        self._unexpected = unexpected or self._something_else
        self._was_answered = False

    @property
    def size(self) -> int:
        """Bytes of the file; 0 until they are known."""
        return self._size or 0

    @property
    def is_known(self) -> bool:
        """Whether its size is known."""
        return self._size is not None

    def open(self, wanted: ByteRange, *, seconds: float | None = None) -> Slice:
        """Request bytes of the file, once; close the answer after use.

        Args:
            wanted: Which bytes. Fewer may come, or the whole file from a server that knows no ranges; none
                where the file ends before.
            seconds: In which all of them are due.

        Raises:
            InvalidInput: The file is not the same any more as at the request before.
            ServerProblem: It cannot be read; ``retry_after`` says whether another try may help.
            Gguf2OllamaError: ``refuse`` or ``unexpected`` returned it.
        """
        found = self._open(wanted, is_ranged=True, seconds=seconds)
        if found is None:
            found = self._open(wanted, is_ranged=False, seconds=seconds)
        assert found is not None  # noqa: S101 - that is for requests with a range
        return found

    def _open(self, wanted: ByteRange, *, is_ranged: bool, seconds: float | None) -> Slice | None:
        try:
            response = self._send(wanted, is_ranged=is_ranged, seconds=seconds)
        except _StaleAddressError:
            self._direct = self._url
            response = self._send(wanted, is_ranged=is_ranged, seconds=seconds)
        try:
            found = self._check(response, wanted, is_ranged=is_ranged)
        except BaseException:
            response.close()
            raise
        if found is None:
            response.close()
        else:
            self._direct = response.url
        return found

    def _send(self, wanted: ByteRange, *, is_ranged: bool, seconds: float | None) -> Response:
        url = self._direct
        headers = {}
        if is_ranged:
            headers["Range"] = wanted.header
            if self.mark.startswith('"') and not self._has_digest:
                headers["If-Range"] = self.mark

        def refuse(response: Response) -> Gguf2OllamaError:
            is_stale = url != self._url and response.status in _CLIENT_ERRORS and response.status != _TOO_MANY
            return _StaleAddressError(self.name) if is_stale else self._refuse(response)

        return self.http.open(
            "GET", url, headers=headers, accept={_NO_SUCH_RANGE}, refuse=refuse, seconds=seconds
        )

    def _check(self, response: Response, wanted: ByteRange, *, is_ranged: bool) -> Slice | None:
        """Return what an answer holds; ``None`` if the file has to be requested without a range."""
        response.require_plain()
        self._check_mark(response)
        if response.status not in {_PARTIAL, _NO_SUCH_RANGE}:
            size = content_length(response.headers)
            if size is None:
                raise self._refused("sends neither ranges nor the length of the file")
            if self._size not in {None, size} and is_ranged:
                return None  # ModelScope announces a wrong length where it ignores the range
            self._learn(response, size)
            return self._slice(response, ByteRange(start=0, end=size), is_whole=True)
        if not is_ranged:
            raise self._refused(f"sent a range (HTTP {response.status}) that was not requested")
        try:
            part, size = check_content_range(response.status, response.headers, wanted=wanted)
        except ValueError as error:
            problem = ServerRefused(f"{self.name}: {error}", hint="download the file and use that")
            raise _temporary(problem) from error
        self._learn(response, size)
        return self._slice(response, part or ByteRange(start=size, end=size), is_whole=False)

    def _slice(self, response: Response, part: ByteRange, *, is_whole: bool) -> Slice:
        return Slice(
            response=response, start=part.start, end=part.end or 0, is_whole=is_whole, name=self.name
        )

    def _check_mark(self, response: Response) -> None:
        mark = mark_of(response)
        if mark and self.mark and mark != self.mark and not self._has_digest:
            raise self._changed()
        self.mark = self.mark or mark

    def _learn(self, response: Response, size: int) -> None:
        """Learn the size, or compare with it."""
        if self._size not in {None, size}:
            if self._was_answered:
                raise self._changed()
            head = next(response.chunks(), b"")[:HEAD_BYTES]
            problem, _ = describe_stranger(head)
            raise self._unexpected(f"{size:,} bytes instead of {self.size:,}; {problem}")
        self._size, self._was_answered = size, True

    def _changed(self) -> InvalidInput:
        return InvalidInput(f"{self.name} changed while it was being read", hint="run the same command again")

    def _refusal(self, response: Response) -> Gguf2OllamaError:
        status = response.status
        if status == _NOT_FOUND:
            return NotFound(f"there is no file at {self.name}", hint="check the address")
        if status in _DENIED:
            return ServerRefused(
                f"access to {self.name} is denied (HTTP {status})",
                hint="pass a token that may read it, and accept the repository's terms if it has any",
                status=status,
            )
        return ServerRefused(f"{self.name}: the server returned HTTP {status}", hint=_LATER, status=status)

    def _something_else(self, what: str) -> ServerRefused:
        return self._refused(f"sends something else than the file: {what}")

    def _refused(self, what: str) -> ServerRefused:
        return ServerRefused(f"{self.name}: the server {what}", hint="download the file and use that")


def mark_of(response: Response) -> str:
    """Return what a server calls the state of a file: its ``ETag``, else ``Last-Modified``; may be empty."""
    return response.headers.get("etag") or response.headers.get("last-modified", "")


def _temporary(problem: ServerRefused | ServerStalled) -> ServerRefused | ServerStalled:
    problem.retry_after = 0.0
    return problem
