"""Fetch ranges of one file over HTTP, and make sure that they are of the same file (RFC 9110, section 14)."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidInput,
    NotFound,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.sources.trust import trusted_certificates

if TYPE_CHECKING:
    import httpx

__all__ = ["RETRY_PAUSES", "RemoteFile", "public_url"]

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 30.0
_LONGEST_PAUSE = 60.0  # that a server may ask for
_MOST_HOPS = 10
_PIECE = 64 << 10
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")
_OK, _PARTIAL = 200, 206
_NOT_FOUND, _NO_SUCH_RANGE, _TOO_MANY = 404, 416, 429
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DENIED = frozenset({401, 403})
_FIRST_CLIENT_ERROR, _FIRST_SERVER_ERROR = 400, 500
_LATER = "try again later; if it goes on, download the file and name it"
_LOG = logging.getLogger(__name__)


class _AgainError(Exception):
    """An attempt that failed, and may go better the next time."""

    def __init__(self, problem: Gguf2OllamaError, *, pause: float = 0.0) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.pause = pause


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What tells one state of a file from another: its bytes, and the server's mark of it, if it has one."""

    size: int
    mark: str


class RemoteFile:
    """One file at a URL; see :class:`gguf2ollama.sources.ranges.RangeReader` for the errors.

    Redirects are followed, and where they led is asked from then on until that is refused: a signed address
    lives for some minutes. What tells who asks goes to the scheme, host and port of the URL itself, and
    nowhere else.

    Attributes:
        name: What messages call it.
        bytes_fetched: Bytes of the file that came.
    """

    def __init__(
        self, url: str, *, own_headers: Mapping[str, str], name: str | None, retry_pauses: Sequence[float]
    ) -> None:
        import httpx  # noqa: PLC0415 - 170 ms of import

        public = public_url(url)
        self.name = name or public
        self.bytes_fetched = 0
        self._url = self._direct = url
        self._own_headers = dict(own_headers)
        self._pauses = tuple(retry_pauses)
        self._state: _State | None = None
        self._whole: _Whole | None = None
        self._sends_ranges = True
        try:
            self._http = httpx.Client(
                verify=trusted_certificates(),
                timeout=httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT),
                headers={"User-Agent": "gguf2ollama", "Accept": "*/*", "Accept-Encoding": "identity"},
            )
        except (OSError, ValueError, ImportError) as error:
            raise UsageProblem(
                f"{self.name} cannot be reached the way the environment asks: {error}",
                hint="check SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
            ) from error

    @property
    def size(self) -> int:
        """Bytes of the file; 0 until something was fetched."""
        return self._state.size if self._state else 0

    def close(self) -> None:
        """Close all connections."""
        self._drop_whole()
        self._http.close()

    def fetch(self, start: int, count: int) -> bytes:
        """Return the bytes from ``start`` on: ``count``, or as many as there are."""
        found = bytearray()
        pauses = iter(self._pauses)
        while self._state is None or len(found) < min(count, self.size - start):
            before = len(found)
            try:
                with self._foreign_errors():
                    self._add(found, start + len(found), count - len(found))
            except _AgainError as again:
                if len(found) > before:
                    pauses = iter(self._pauses)
                pause = next(pauses, None)
                if pause is None:
                    raise again.problem from again.__cause__
                _LOG.warning("%s; asking again", again.problem)
                time.sleep(max(pause, min(again.pause, _LONGEST_PAUSE)))
        return bytes(found)

    def _add(self, found: bytearray, start: int, count: int) -> None:
        """Add what comes of one answer; that may be less."""
        if self._whole is not None and self._whole.position > start:
            self._drop_whole()
        if self._whole is None:
            response = self._ask(f"bytes={start}-{start + count - 1}" if self._sends_ranges else None)
            try:
                if response.status_code != _OK:
                    self._add_range(response, found, start=start, count=count)
                    return
                self._learn(response, size=self._length(response))
                self._whole = _Whole(response, count=self._count)
                self._sends_ranges = False
            finally:
                if self._whole is None:
                    response.close()
        for piece in self._whole.read(start, min(count, self.size - start)):
            found += piece
        if self._whole.position < min(start + count, self.size):
            self._drop_whole()
            raise _AgainError(self._broken_off())

    def _add_range(self, response: httpx.Response, found: bytearray, *, start: int, count: int) -> None:
        told = response.headers.get("content-range", "")
        match = _CONTENT_RANGE.fullmatch(told)
        if match is None or (match[1] is None) is not (response.status_code == _NO_SUCH_RANGE):
            raise self._refused(f"does not tell which bytes it sends ({told[:80]!r})")
        self._learn(response, size=int(match[3]))
        if match[1] is None:
            if start < self.size:
                raise self._refused(f"has no bytes at {start:,} of {self.size:,}")
            return
        first, last = int(match[1]), int(match[2])
        if first != start or not first <= last < min(start + count, self.size):
            raise self._refused(f"sends other bytes than were asked for ({told[:80]})")
        left = last + 1 - first
        for piece in response.iter_raw(_PIECE):
            self._count(len(piece))
            found += piece[:left]
            left -= len(piece)
            if left < 0:
                raise self._refused("sends more bytes than it says")
        if left:
            raise _AgainError(self._broken_off())

    def _ask(self, wanted: str | None) -> httpx.Response:
        """Get the file, or a range of it; follow redirects."""
        url, is_kept = self._direct, self._direct != self._url
        for _ in range(_MOST_HOPS):
            response = self._http.send(self._request(url, wanted), stream=True, follow_redirects=False)
            status = response.status_code
            if status in {_OK, _PARTIAL, _NO_SUCH_RANGE} and (status != _PARTIAL or wanted):
                self._direct = url
                self._require_plain(response)
                return response
            response.close()
            if status in _REDIRECTS:
                url = self._redirected(url, response.headers.get("location", ""))
            elif is_kept and _FIRST_CLIENT_ERROR <= status < _FIRST_SERVER_ERROR and status != _TOO_MANY:
                url, is_kept = self._url, False
                self._direct = url
            else:
                self._refuse(response)
        raise self._refused("redirects again and again")

    def _request(self, url: str, wanted: str | None) -> httpx.Request:
        headers = {}
        if wanted is not None:
            headers["Range"] = wanted
            if self._state and self._state.mark.startswith('"'):
                headers["If-Range"] = self._state.mark
        if _origin(url) == _origin(self._url):
            headers |= self._own_headers
        return self._http.build_request("GET", url, headers=headers)

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            scheme, host, _ = _origin(target)
        except ValueError:
            scheme, host = "", None
        if not location or not host or scheme not in {"http", "https"}:
            raise self._refused("redirects to no address")
        if urlsplit(url).scheme == "https" and scheme != "https":
            raise self._refused(f"redirects to an address that is not encrypted, at {host}")
        return target

    def _refuse(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == _NOT_FOUND:
            raise NotFound(f"there is no file at {self.name}", hint="check the address")
        if status in _DENIED:
            raise ServerRefused(
                f"{self.name} may not be read: the server answers with status {status}",
                hint="give a token that may read it, and accept the repository's conditions if it has any",
                status=status,
            )
        problem = ServerRefused(f"{self.name}: the server answers with status {status}", hint=_LATER)
        if status == _TOO_MANY or status >= _FIRST_SERVER_ERROR:
            raise _AgainError(problem, pause=_pause(response.headers.get("retry-after", "")))
        raise problem

    def _require_plain(self, response: httpx.Response) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            response.close()
            raise self._refused(f"sends the file encoded ({encoding[:80]}), though it was told not to")

    def _length(self, response: httpx.Response) -> int:
        told = response.headers.get("content-length", "")
        if not _LENGTH.fullmatch(told):
            raise self._refused("sends no ranges, and does not tell the length of the file")
        return int(told)

    def _learn(self, response: httpx.Response, *, size: int) -> None:
        """Take up what tells this state of the file from others, or compare with it."""
        mark = response.headers.get("etag") or response.headers.get("last-modified", "")
        if self._state is None:
            self._state = _State(size=size, mark=mark)
        elif size != self.size or (mark and self._state.mark and mark != self._state.mark):
            raise InvalidInput(
                f"{self.name} was changed while it was read", hint="run the same command again"
            )

    def _count(self, count: int) -> None:
        self.bytes_fetched += count

    def _drop_whole(self) -> None:
        if self._whole is not None:
            self._whole.close()
            self._whole = None

    def _refused(self, what: str) -> ServerRefused:
        return ServerRefused(f"{self.name}: the server {what}", hint="download the file and name that")

    def _broken_off(self) -> ServerUnreachable:
        return ServerUnreachable(f"the connection broke off while {self.name} was read", hint=_LATER)

    @contextlib.contextmanager
    def _foreign_errors(self) -> Iterator[None]:
        """Turn what httpx raises into ours, with the original as the cause."""
        import httpx  # noqa: PLC0415 - imported when the file was opened

        try:
            yield
        except httpx.TimeoutException as error:
            self._drop_whole()
            raise _AgainError(
                ServerStalled(f"nothing comes from {self.name} ({type(error).__name__})", hint=_LATER)
            ) from error
        except httpx.TransportError as error:
            self._drop_whole()
            raise _AgainError(
                ServerUnreachable(
                    f"{self.name} cannot be read: {error}", hint="check the network and the address"
                )
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise self._refused(f"cannot be understood: {error}") from error


class _Whole:
    """An answer with the whole file, read from its start on as far as is wanted."""

    def __init__(self, response: httpx.Response, *, count: Callable[[int], None]) -> None:
        self.position = 0
        self._count = count
        self._response = response
        self._pieces = response.iter_raw(_PIECE)
        self._rest = b""

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Return bytes from ``start`` on, which is not before the position; what lies between is dropped."""
        end = start + count
        while self.position < end:
            piece = self._rest
            if not piece:
                piece = next(self._pieces, b"")
                self._count(len(piece))
            if not piece:
                return
            low, high = max(start - self.position, 0), min(end - self.position, len(piece))
            self._rest = piece[high:]
            self.position += high
            yield piece[low:high]

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


def public_url(url: str) -> str:
    """Return a URL without user, password and query.

    Raises:
        UsageProblem: It is no URL of a file.
    """
    try:
        scheme, host, _ = _origin(url)
    except ValueError:
        scheme, host = "", None
    if not host or scheme not in {"http", "https"} or not url.isprintable():
        raise UsageProblem(f"{url[:200]!r} is no address of a file", hint="one reads https://host/path")
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port; raises ``ValueError`` where a URL has no such form."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _pause(told: str) -> float:
    """Read ``Retry-After``: seconds, or a date; 0 for anything else."""
    if _LENGTH.fullmatch(told):
        return float(told)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return parsedate_to_datetime(told).timestamp() - time.time()
    return 0.0
