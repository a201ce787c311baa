"""The client: requests, redirects, credentials, and answers that are bounded."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, ServerProblem, ServerRefused
from gguf2ollama.events import ignore
from gguf2ollama.net.dialing import Dialer
from gguf2ollama.net.failures import Failure, FailureKind, explain
from gguf2ollama.net.json_body import parse_json
from gguf2ollama.net.proxies import proxy_for
from gguf2ollama.net.response import Response, refusal
from gguf2ollama.net.retry import RETRY_PAUSES, Budget, parse_retry_after, retry
from gguf2ollama.net.transport import Answer, Outgoing, WireError
from gguf2ollama.net.urls import (
    credentials_in,
    host_of,
    origin_host,
    origin_of,
    public_url,
    redirected,
    request_target,
)
from gguf2ollama.net.wait import Wait

if TYPE_CHECKING:
    from typing import Self

    from gguf2ollama.net.plain import PlainTransport
    from gguf2ollama.net.wire import PooledTransport

__all__ = ["HttpClient"]

CONNECT_TIMEOUT = 10.0
IDLE_TIMEOUT = 30.0
_MOST_HOPS = 10
_MOST_PAGES = 1000
_LEAST_SECRET = 6  # characters; shorter ones may stand anywhere
_ANSWER_SECONDS = 60.0  # for the whole of one small answer
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIABLE = frozenset({429, 500, 502, 503, 504})
_PROXY_AUTHENTICATION = 407
_REPEATABLE = frozenset({"GET", "HEAD"})
_TEMPORARY = {FailureKind.LOST, FailureKind.STALLED, FailureKind.NOT_TAKEN, FailureKind.PROTOCOL}
_NEXT_LINK = lazy_pattern(r'<([^<>]*)>[^,<>]*;\s*rel="?next"?', re.IGNORECASE)
_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)


class HttpClient:
    """Connections to one service, and to where it redirects; a context manager.

    All methods may be called from several threads. Nothing is sent before one is called.

    Args:
        origin: The service's own URL: ``own_headers`` are sent to its scheme, host and port alone.
        own_headers: Credentials.
        headers: Sent with every request.
        ca_file: Certificates (PEM) to trust in place of the system's.
        idle_timeout: Seconds of silence that are a stall.
        retry_pauses: Seconds before each new attempt of what failed for the moment.
        explain: Returns the error for a request that failed.
        notify: Called with a sentence when something takes longer than a user would expect.
        is_plain_preferred: Whether plain connections are made without httpcore2: see ``plain``.
    """

    def __init__(
        self,
        *,
        origin: str = "",
        own_headers: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
        explain: Callable[[Failure], ServerProblem] = explain,
        notify: Callable[[str], None] = ignore,
        is_plain_preferred: bool = False,
    ) -> None:
        self._origin = origin_of(origin) if origin else None
        self._own_headers = dict(own_headers or {})
        self._headers = {
            "User-Agent": "gguf2ollama",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        self._ca_file = ca_file
        self._idle_timeout = idle_timeout
        self._retry_pauses = tuple(retry_pauses)
        self._explain = explain
        self._notify = notify
        self._is_plain_preferred = is_plain_preferred
        self._dialer = Dialer()
        self._lock = threading.Lock()
        self._plain: PlainTransport | None = None
        self._pooled: PooledTransport | None = None
        self._answered: set[tuple[str, str, int]] = set()  # origins: what ever answered is worth another try

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what waits for one, on any thread, ends at once with ``ClientClosed``."""
        self._dialer.close()
        with self._lock:
            transports = [transport for transport in (self._plain, self._pooled) if transport is not None]
        for transport in transports:
            transport.close()

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._dialer.closed.is_set()

    def _transport(self, url: str) -> Callable[[Outgoing], Answer]:
        """Return what sends a request to a URL; made when it is first needed."""
        proxy = proxy_for(url)
        if self._is_plain_preferred and proxy is None and url.startswith("http:"):
            with self._lock:
                if self._plain is None:
                    from gguf2ollama.net.plain import PlainTransport  # noqa: PLC0415 - 8 ms of import

                    self._plain = PlainTransport(self._dialer)
                return self._plain.send
        with self._lock:
            if self._pooled is None:
                from gguf2ollama.net.wire import PooledTransport  # noqa: PLC0415 - 40 ms of import

                self._pooled = PooledTransport(self._dialer, ca_file=self._ca_file)
            return functools.partial(self._pooled.send, proxy=proxy)

    # one attempt

    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        accept: Collection[int] = (),
        refuse: Callable[[Response], Gguf2OllamaError] = refusal,
        follow: bool = True,
        seconds: float | None = None,
        is_alive: Callable[[], bool] | None = None,
        is_idempotent: bool | None = None,
    ) -> Response:
        """Send a request once and return its answer, whose body is unread; close it after use.

        Args:
            method: The HTTP method.
            url: Where to; a user name and password in it are sent to that server alone.
            headers: Sent along, also with each redirect: no credentials.
            body: Of the request; an iterable needs a ``Content-Length`` among the headers.
            accept: Statuses from 300 on that are returned and not raised.
            refuse: Returns the error for any other status from 300 on; may read the body's beginning.
            follow: Whether redirects of a GET or HEAD are followed.
            seconds: In which the whole answer is due, body included.
            is_alive: Called after ``idle_timeout`` seconds of silence; returns whether to keep waiting.
            is_idempotent: Whether it may be sent again after it was; as GET and HEAD may, by default.

        Raises:
            ServerProblem: ``explain`` returned it; ``retry_after`` says whether another attempt may help.
            Gguf2OllamaError: ``refuse`` returned it.
            UsageProblem: The URL, the proxy or the certificates cannot be used.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        may_repeat = method in _REPEATABLE if is_idempotent is None else is_idempotent
        for _ in range(_MOST_HOPS):
            response = self._send(
                method,
                url,
                headers=headers or {},
                body=body,
                deadline=deadline,
                seconds=seconds,
                is_alive=is_alive,
                may_repeat=may_repeat,
            )
            status = response.status
            if status < 300 or status in accept:  # noqa: PLR2004
                return response
            location = response.headers.get("location", "")
            if status in _REDIRECTS and follow and method in _REPEATABLE:
                response.close()
                url = redirected(url, location)
                continue
            with response:
                problem = refuse(response)
            if isinstance(problem, ServerProblem) and status in _RETRIABLE and may_repeat:
                problem.retry_after = parse_retry_after(response.headers.get("retry-after", ""))
            raise problem
        raise ServerRefused(f"{host_of(url)} redirects too many times", hint="check the address")

    # as often as it takes

    def budget(self) -> Budget:
        """Return the attempts that one piece of work has; see :meth:`retry`."""
        return Budget(self._retry_pauses)

    def retry(
        self,
        attempt: Callable[[], _T],
        *,
        budget: Budget | None = None,
        when: Callable[[ServerProblem], bool] = lambda _: True,
    ) -> _T:
        """Return what ``attempt`` returns; call it again while its error allows and the budget lasts.

        Args:
            attempt: Sends a request and reads its answer.
            budget: The attempts that are left; those of one piece of work by default.
            when: What has to hold, besides, of an error that another attempt may follow.

        Raises:
            Gguf2OllamaError: What the last attempt raised.
        """
        return retry(
            attempt,
            budget=budget or self.budget(),
            when=when,
            closed=self._dialer.closed,
            notify=self._notify,
        )

    def get(
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        refuse: Callable[[Response], Gguf2OllamaError] = refusal,
        seconds: float = _ANSWER_SECONDS,
    ) -> bytearray:
        """Get a small answer whole, trying again where that may help.

        Args:
            url: Where it is.
            limit: The most bytes that it honestly has.
            headers: Sent along.
            refuse: As :meth:`open` takes it.
            seconds: In which each attempt has to be complete.

        Raises:
            Gguf2OllamaError: As :meth:`open` and :meth:`Response.read`.
        """
        content, _ = self._get(url, limit=limit, headers=headers, refuse=refuse, seconds=seconds)
        return content

    def get_json(
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        refuse: Callable[[Response], Gguf2OllamaError] = refusal,
        unexpected: Callable[[str], Gguf2OllamaError] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> object:
        """Get an answer in JSON, as :meth:`get`, in memory of at most ten times its size.

        Args:
            url: Where it is.
            limit: The most bytes that it honestly has.
            headers: Sent along.
            refuse: As :meth:`open` takes it.
            unexpected: Returns the error for any other response; called with what is wrong with it.
            seconds: In which each attempt has to be complete.
        """
        content = self.get(url, limit=limit, headers=headers, refuse=refuse, seconds=seconds)
        return _parsed(content, url=url, unexpected=unexpected)

    def get_pages(
        self,
        url: str,
        *,
        limit: int,
        refuse: Callable[[Response], Gguf2OllamaError] = refusal,
        unexpected: Callable[[str], Gguf2OllamaError] | None = None,
        most: int = _MOST_PAGES,
    ) -> Iterator[object]:
        """Return the pages of a list in JSON, each of which names the next in ``Link`` (RFC 8288).

        Args:
            url: The first.
            limit: The most bytes that a page honestly has.
            refuse: As :meth:`open` takes it.
            unexpected: As :meth:`get_json` takes it.
            most: Pages that a list honestly has at most.
        """
        following = url
        for _ in range(most):
            content, link = self._get(
                following, limit=limit, headers=None, refuse=refuse, seconds=_ANSWER_SECONDS
            )
            yield _parsed(content, url=url, unexpected=unexpected)
            if not link:
                return
            following = urljoin(following, link)
            if origin_of(following) != origin_of(url):
                raise _unexpected(url, "its list continues on another server", unexpected)
        raise _unexpected(url, f"its list has more than {most} pages", unexpected)

    def _get(
        self,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None,
        refuse: Callable[[Response], Gguf2OllamaError],
        seconds: float,
    ) -> tuple[bytearray, str | None]:
        def attempt() -> tuple[bytearray, str | None]:
            with self.open("GET", url, headers=headers, refuse=refuse, seconds=seconds) as response:
                link = _NEXT_LINK.search(response.headers.get("link", ""))
                return response.read(limit=limit), link and link[1]

        return self.retry(attempt)

    # what is below

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        deadline: float | None,
        seconds: float | None,
        is_alive: Callable[[], bool] | None,
        may_repeat: bool,
    ) -> Response:
        origin = origin_of(url)
        _LOG.debug("%s %s", method, public_url(url))
        wait = Wait(
            idle=self._idle_timeout,
            deadline=deadline,
            is_alive=is_alive,
            notify=None if is_alive else lambda: self._notify(f"waiting for {host_of(url)}"),
        )
        everything = {
            "Host": origin_host(url),
            **self._headers,
            **credentials_in(url),
            **(self._own_headers if origin == self._origin else {}),
            **headers,
        }
        if isinstance(body, bytes):
            everything["Content-Length"] = str(len(body))

        def problem(error: WireError) -> ServerProblem:
            kind = FailureKind.CLOSED if self.is_closed else error.kind
            waited = {
                FailureKind.CONNECT_TIMEOUT: CONNECT_TIMEOUT,
                FailureKind.DEADLINE: seconds or 0.0,
            }.get(kind, self._idle_timeout)
            failure = Failure(
                kind=kind,
                method=method,
                url=public_url(url),
                detail=error.detail,
                seconds=waited,
                proxy=error.proxy,
            )
            found = self._explain(failure)
            is_unsent = kind in {FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT}
            if (kind in _TEMPORARY and may_repeat) or (is_unsent and origin in self._answered):
                found.retry_after = 0.0
            return found

        @contextlib.contextmanager
        def translate() -> Iterator[None]:
            try:
                yield
            except WireError as error:
                raise problem(error) from error.__cause__ or error

        with translate():
            answer = self._transport(url)(
                Outgoing(
                    method=method,
                    url=request_target(url),
                    headers=everything,
                    body=(body,) if isinstance(body, bytes) else body or (),
                    wait=wait,
                    connect_timeout=CONNECT_TIMEOUT,
                    write_timeout=self._idle_timeout,
                )
            )
        self._answered.add(origin)
        _LOG.debug("HTTP %d from %s", answer.status, host_of(url))
        response = Response(
            status=answer.status,
            headers=answer.headers,
            url=url,
            wait=wait,
            body=answer.body,
            close=answer.close,
            translate=translate,
            secrets=_secrets_in(everything),
        )
        if answer.status == _PROXY_AUTHENTICATION and answer.proxy is not None:
            response.close()
            raise problem(WireError(FailureKind.PROXY_CREDENTIALS, proxy=answer.proxy))
        return response


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    """Return what of a request nobody may be shown."""
    for name in ("Authorization", "Cookie"):
        secret = headers.get(name, "").rpartition(" ")[2]
        if len(secret) >= _LEAST_SECRET:
            yield secret


def _parsed(content: bytearray, *, url: str, unexpected: Callable[[str], Gguf2OllamaError] | None) -> object:
    is_page = content.lstrip()[:1] == b"<"
    try:
        return parse_json(content)
    except ValueError as error:
        what = "it sends a web page" if is_page else str(error)
        raise _unexpected(url, what, unexpected) from error


def _unexpected(
    url: str, what: str, unexpected: Callable[[str], Gguf2OllamaError] | None
) -> Gguf2OllamaError:
    if unexpected is not None:
        return unexpected(what)
    return ServerRefused(f"unexpected response from {host_of(url)}: {what}", hint="check the address")
