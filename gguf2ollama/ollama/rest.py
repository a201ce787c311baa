"""Requests to Ollama's REST interface and their responses: what all endpoints have in common.

Loading a model of a hundred gigabytes, or hashing one at ``create``, may take minutes without a byte on the
wire, so a timeout cannot distinguish work from a hang. A request that may take long therefore has none;
instead, after each ``stall_timeout`` seconds without data the server's version is requested on another
connection. While that succeeds, the wait continues. TCP keep-alive covers the case in between: a server that
is alive, but lost this one connection.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, RunnerStopped, ServerProblem, ServerRefused, UsageProblem
from gguf2ollama.names import ServerAddress
from gguf2ollama.net import MEMORY_FACTOR, Failure, HttpClient, Response
from gguf2ollama.ollama.errors import ApiCall, explain_failure, explain_refusal, printable
from gguf2ollama.ollama.fields import Fields

__all__ = ["RestApi", "Stream"]

_LINE_LIMIT = 32 << 20  # bytes; Ollama's own client stops at 8 MB
_VERSION_LIMIT = 64 << 10
_LIST_LIMIT = 16 << 20  # 40,000 models
_ANSWER_LIMIT = 64 << 20  # a verbose `show` carries the whole vocabulary
_ANSWER_SECONDS = 180.0  # for all of a short response
_VOCABULARY_FACTOR = 30  # bytes of memory per byte of JSON that is mostly tokens of a few letters
_NOT_FOUND = 404
_FIRST_ERROR, _FAILED = 400, 500
_ANY_STATUS = range(300, 500)  # of a server that lives; 502 is what a proxy says of one that does not
_HTML_TAG = lazy_pattern(r"<[^<>]*>")
_T = TypeVar("_T")


class RestApi:
    """The connections to one server.

    Errors of the server, and of the connection to it, are those of ``gguf2ollama.errors``.

    Args:
        address: Where the server is.
        authorization: Sent to it as ``Authorization``, and to nobody else; ``None`` for none.
        ca_file: Certificates (PEM) to trust in place of the system's.
        stall_timeout: Seconds of silence before the server is probed.
        retry_pauses: Seconds before each new attempt of a request that may be repeated.
        notify: Called with a sentence when something takes longer than a user would expect.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        authorization: str | None,
        ca_file: Path | None,
        stall_timeout: float,
        retry_pauses: Sequence[float],
        notify: Callable[[str], None],
    ) -> None:
        self._base_url = address.base_url
        self._has_key = authorization is not None
        self._http = HttpClient(
            origin=address.base_url,
            own_headers={"Authorization": authorization} if authorization else {},
            headers={"Accept": "application/json, application/x-ndjson"},
            ca_file=ca_file,
            idle_timeout=stall_timeout,
            retry_pauses=retry_pauses,
            explain=self._explain,
            notify=notify,
            is_plain_preferred=True,
        )

    def close(self) -> None:
        """Close all connections; what is under way on them ends."""
        self._http.close()

    def exists(self, path: str) -> bool:
        """Return whether there is something at a path (HEAD)."""
        call = self._call("HEAD", path)

        def attempt() -> bool:
            with self._open(call, accept={_NOT_FOUND}) as response:
                return response.status != _NOT_FOUND

        return self._http.retry(attempt, when=_is_worth_another)

    def date(self, path: str) -> datetime | None:
        """Return when the server answered a GET, by its own clock; ``None`` where its answer does not say."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - seldom needed

        with self._open(self._call("GET", path)) as response:
            text = response.headers.get("date", "")
        with contextlib.suppress(ValueError):
            date = parsedate_to_datetime(text)
            return None if date.tzinfo is None else date
        return None

    def get(self, path: str, *, limit: int = _LIST_LIMIT) -> Fields:
        """Get the object at a path, of at most ``limit`` bytes."""
        call = self._call("GET", path)

        def attempt() -> Fields:
            with self._open(call) as response:
                return _read_fields(response, call=call, limit=limit)

        return self._http.retry(attempt, when=_is_worth_another)

    def version(self) -> Fields:
        """Get the version."""
        return self.get("/api/version", limit=_VERSION_LIMIT)

    def post(
        self,
        path: str,
        content: Mapping[str, object],
        *,
        subject: str = "",
        is_long: bool = False,
        is_vocabulary: bool = False,
    ) -> Fields:
        """Post an object and return the object that is the response.

        Args:
            path: The endpoint.
            content: The request.
            subject: The model that it is about, for errors.
            is_long: Whether it may take as long as it likes, while the server lives.
            is_vocabulary: Whether the response is mostly short strings, which take more memory.
        """
        call = self._call("POST", path, subject=subject)
        factor = _VOCABULARY_FACTOR if is_vocabulary else MEMORY_FACTOR

        def attempt() -> Fields:
            with self._open(call, content, is_long=is_long) as response:
                return _read_fields(response, call=call, limit=_ANSWER_LIMIT, memory_factor=factor)

        return self._http.retry(attempt, when=_is_worth_another)

    def send(self, method: str, path: str, content: Mapping[str, object], *, subject: str) -> None:
        """Send an object where the response is nothing but its status."""
        call = self._call(method, path, subject=subject)
        self._http.retry(lambda: self._open(call, content).close(), when=_is_worth_another)

    def stream(
        self,
        path: str,
        content: Mapping[str, object],
        *,
        subject: str,
        parse: Callable[[Fields], _T],
        is_last: Callable[[_T], bool],
        is_flowing: Callable[[_T], bool] | None = None,
    ) -> Stream[_T]:
        """Post an object and return the lines of the response as they come.

        Args:
            path: The endpoint.
            content: The request.
            subject: The model that it is about, for errors.
            parse: Reads one line.
            is_last: Whether nothing is due after a value.
            is_flowing: Whether the next line is due soon after a value, so that silence is a stall.
        """
        call = self._call("POST", path, subject=subject)
        response = self._http.retry(lambda: self._open(call, content, is_long=True), when=_is_worth_another)
        return Stream(response, parse=parse, is_last=is_last, is_flowing=is_flowing, call=call)

    def upload(self, path: str, body: Callable[[], Iterable[bytes]], *, size: int, subject: str) -> None:
        """Post ``size`` bytes as they are; again from their start when the connection is lost.

        Args:
            path: The endpoint, whose outcome is the same however often they are sent.
            body: Returns the bytes, from their start each time; a ``SocketBody`` is the quickest way.
            size: How many they are.
            subject: What they are, for errors.
        """
        call = self._call("POST", path, subject=subject)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}

        def attempt() -> None:
            self._http.open(
                call.method,
                f"{self._base_url}{call.path}",
                headers=headers,
                body=body(),
                refuse=lambda response: _refused(response, call=call),
                is_alive=self._is_alive,
                is_idempotent=True,
            ).close()

        self._http.retry(attempt, when=_is_worth_sending_all)

    def _call(self, method: str, path: str, *, subject: str = "") -> ApiCall:
        return ApiCall(
            address=self._base_url, method=method, path=path, subject=subject, has_key=self._has_key
        )

    def _open(
        self,
        call: ApiCall,
        content: Mapping[str, object] | None = None,
        *,
        is_long: bool = False,
        accept: set[int] | None = None,
    ) -> Response:
        """Send a request and return its response unread.

        Redirects are not followed: a request with a body must not wander off to another host.
        """
        try:
            body = None if content is None else json.dumps(content, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise UsageProblem(f"a value cannot be sent to Ollama: {error}") from error
        return self._http.open(
            call.method,
            f"{self._base_url}{call.path}",
            headers=None if body is None else {"Content-Type": "application/json"},
            body=body,
            accept=accept or (),
            refuse=lambda response: _refused(response, call=call),
            follow=False,
            seconds=None if is_long else _ANSWER_SECONDS,
            is_alive=self._is_alive if is_long else None,
        )

    def _is_alive(self) -> bool:
        """Return whether the server responds on another connection than the one that waits."""
        try:
            self._http.open("GET", f"{self._base_url}/api/version", accept=_ANY_STATUS, follow=False).close()
        except ServerProblem:
            return False
        return True

    def _explain(self, failure: Failure) -> ServerProblem:
        path = failure.url.removeprefix(self._base_url)
        return explain_failure(failure, call=self._call(failure.method, path))


class Stream(Generic[_T]):
    """The values of one response, as they come.

    The work is under way once the stream is there. Iterate to the end; to stop early, close the stream (or
    leave its ``with`` block): that ends the work on the server. Errors come from iterating: the server's
    own, a lost or stalled connection, and a response that ends before it is complete.
    """

    def __init__(
        self,
        response: Response,
        *,
        parse: Callable[[Fields], _T],
        is_last: Callable[[_T], bool],
        is_flowing: Callable[[_T], bool] | None = None,
        call: ApiCall,
    ) -> None:
        self._response = response
        self._parse = parse
        self._is_last = is_last
        self._is_flowing = is_flowing
        self._call = call
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
        """Read to the end and return the last value."""
        last = next(self)
        for value in self:
            last = value
        return last

    def _read(self) -> Generator[_T, None, None]:
        call, wait = self._call, self._response.wait
        is_alive = wait.is_alive
        with self._response:
            for line in _lines(self._response.chunks(), call=call):
                fields = Fields.parse(self._response.hide(line), origin=call.origin)
                if error := _error_in(fields):
                    raise explain_refusal(error, status=0, call=call)
                value = self._parse(fields)
                if self._is_flowing is not None:
                    wait.is_alive = None if self._is_flowing(value) else is_alive
                yield value
                if self._is_last(value):
                    return
        raise ServerRefused(
            f"the response to {call.origin} ended before it was complete",
            hint="the server may have been stopped; run the same command again",
        )


def _is_worth_another(problem: ServerProblem) -> bool:
    """Return whether a short request is sent again; after a minute of silence a second is not waited for."""
    return not isinstance(problem, TimeoutError) and _is_worth_sending_all(problem)


def _is_worth_sending_all(problem: ServerProblem) -> bool:
    """Return whether an upload is sent again: not where Ollama itself failed (500), which it would again."""
    is_of_ollama = isinstance(problem, ServerRefused) and problem.status == _FAILED
    return not is_of_ollama or isinstance(problem, RunnerStopped)


def _refused(response: Response, *, call: ApiCall) -> Gguf2OllamaError:
    """Return what a response with an error status means, and what to do about it."""
    if response.status < _FIRST_ERROR:
        return ServerRefused(
            f"{call.origin} redirects to {printable(response.headers.get('location', 'nowhere'))}",
            hint="set OLLAMA_HOST (or --host) to that address if it is the right server",
            status=response.status,
        )
    content = response.read_start()
    text = content.decode("utf-8", errors="replace")
    try:
        reason = _error_in(Fields.parse(content, origin=call.origin))
    except ServerRefused:
        reason = _HTML_TAG.sub(" ", text) if text.lstrip()[:1] == "<" else text
    return explain_refusal(reason, status=response.status, call=call)


def _read_fields(
    response: Response, *, call: ApiCall, limit: int, memory_factor: int = MEMORY_FACTOR
) -> Fields:
    """Read a response that is one JSON object.

    Raises:
        ServerRefused: It is something else, an error, or longer than any honest response.
    """
    body = bytearray()
    for chunk in response.chunks():
        body += chunk
        if len(body) > limit:
            raise _too_long(call, limit)
    fields = Fields.parse(response.hide(body), origin=call.origin, memory_factor=memory_factor)
    if error := _error_in(fields):
        raise explain_refusal(error, status=response.status, call=call)
    return fields


def _lines(chunks: Iterable[bytes], *, call: ApiCall) -> Iterator[bytes]:
    """Cut a body at its newlines; empty lines are left out."""
    rest = bytearray()
    for chunk in chunks:
        start = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", start)) >= 0:
            if line := bytes(rest[:end]).strip():
                yield line
            del rest[: end + 1]
            start = 0
        if len(rest) > _LINE_LIMIT:
            raise _too_long(call, _LINE_LIMIT)
    if line := bytes(rest).strip():
        yield line


def _error_in(fields: Fields) -> str:
    """Return the error that a response reports; llama-server and proxies wrap theirs in an object."""
    error = fields.content.get("error")
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error) if error else ""


def _too_long(call: ApiCall, limit: int) -> ServerRefused:
    return ServerRefused(
        f"{call.origin} sent more than {limit:,} bytes where a short response was expected",
        hint="check that OLLAMA_HOST (or --host) leads to Ollama and not to another server",
    )
