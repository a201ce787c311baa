"""The way to a site that keeps models: one connection, asked again where it fails for the moment.

What a site is asked, and how it answers, is told by its own class:
:class:`~gguf2ollama.sources.huggingface.HubSite`, :class:`~gguf2ollama.sources.modelscope.ModelScopeSite`,
and :class:`~gguf2ollama.sources.url.UrlSite` for files that lie at no such site.
"""

from __future__ import annotations

import abc
import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gguf2ollama.errors import (
    Gguf2OllamaError,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.settings import SiteSettings
from gguf2ollama.sources.trust import trusted_certificates

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

__all__ = ["RETRY_PAUSES", "RepositoryInfo", "Site", "is_commit", "is_safe_path", "only_names", "retry_pause"]

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each new attempt of what failed for the moment."""

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 30.0
_LONGEST_PAUSE = 60.0  # that a site may ask for
_MOST_BYTES = 64 << 20  # of an answer in JSON
_TOO_MANY, _BAD, _SERVER_ERROR = 429, 400, 500
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryInfo:
    """What a site tells of a repository at a revision.

    Attributes:
        name: ``owner/repo``, as the site writes it.
        commit: The commit that the revision names now; empty for files that lie in no repository.
        parameters: The number of weights, as the site read it from a GGUF; ``None`` if it did not.
        base_models: The repositories that it was made from, those first that it is a quantization of.
    """

    name: str
    commit: str
    parameters: int | None = None
    base_models: tuple[str, ...] = ()


class Site(abc.ABC):
    """A connection to a site; a context manager.

    Args:
        settings: Where it is, and what tells it who asks.
        retry_pauses: Seconds before each new attempt of a request that failed for the moment.
    """

    def __init__(self, settings: SiteSettings, *, retry_pauses: Sequence[float] = RETRY_PAUSES) -> None:
        import httpx  # noqa: PLC0415 - 170 ms of import

        self.settings = settings
        self.retry_pauses = tuple(retry_pauses)
        self._coming: set[httpx.Response] = set()
        self._errors = httpx.HTTPError, httpx.TimeoutException, httpx.ConnectError
        try:
            self._http = httpx.Client(
                verify=trusted_certificates(),
                timeout=httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT, pool=None),
                headers={"User-Agent": "gguf2ollama", "Accept-Encoding": "identity"},
                follow_redirects=True,
            )
        except (OSError, ValueError, ImportError) as error:
            raise UsageProblem(
                f"{settings.endpoint} cannot be reached the way the environment asks: {error}",
                hint="check SSL_CERT_FILE, SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a thread that waits for a file is woken."""
        for response in list(self._coming):
            if (stream := response.extensions.get("network_stream")) is not None:
                with contextlib.suppress(OSError, AttributeError):
                    stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._http.close()

    # what a site tells of its own

    @abc.abstractmethod
    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the address of a file."""

    @abc.abstractmethod
    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names; raises ``Gguf2OllamaError``."""

    @abc.abstractmethod
    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List all files of a repository, those in folders too; raises ``Gguf2OllamaError``."""

    @abc.abstractmethod
    def refusal(
        self, response: httpx.Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Make the error for an answer that refuses something; its body may be unread.

        Args:
            response: The answer.
            repository: What was asked for.
            revision: In which state.
            path: Which file, if it was one.
        """

    @abc.abstractmethod
    def protocol_error(self, what: str) -> ServerRefused:
        """Make the error for an answer that no such site gives."""

    def quantized_repos(self, repository: str) -> list[str]:
        """Name repositories that carry GGUF made from this one; none where the site cannot be asked that."""
        del repository
        return []

    # what is asked of all sites alike

    def unexpected_content(self, file: RepositoryFile, repository: str, what: str) -> ServerRefused:
        """Make the error for an answer that holds something else than a file."""
        return ServerRefused(
            f"{self.settings.endpoint} sends something else than {file.path} of {repository}: {what}",
            hint=self.protocol_error(what).hint,
        )

    def read_file(self, repository: str, path: str, *, revision: str, most_bytes: int) -> bytes:
        """Return the bytes of a small file.

        Raises:
            Gguf2OllamaError: The site refuses; also where it is longer than allowed.
        """
        url = self.file_url(repository, path, commit=revision)
        content, _ = self._get(
            url, repository=repository, revision=revision, path=path, most_bytes=most_bytes
        )
        return content

    def require_access(self, repository: str, path: str, *, commit: str) -> None:
        """Check that a file may be read, so that a refusal is explained before anything is fetched.

        Raises:
            Gguf2OllamaError: The site refuses.
        """
        url = self.file_url(repository, path, commit=commit)
        for is_last in self._attempts():
            with self.foreign_errors(is_last=is_last):
                response = self._http.send(self._request("HEAD", url), follow_redirects=False)
                if response.status_code < _BAD:
                    return
                self._raise_or_wait(
                    response, is_last=is_last, repository=repository, revision=commit, path=path
                )

    @contextlib.contextmanager
    def open_file(self, url: str, *, start: int) -> Iterator[httpx.Response]:
        """Ask for a file from a byte on; give the answer, of which nothing is read yet.

        A redirect to another host is followed without what tells who asks. What httpx raises comes as it is.

        Raises:
            ServerRefused: It leads from an encrypted address to one that is not.
        """
        request = self._request("GET", url, self.range_headers(url, start=start))
        response = self._http.send(request, stream=True)
        self._coming.add(response)
        try:
            if request.url.scheme == "https" and response.url.scheme != "https":
                raise self.protocol_error(f"it sends on to {response.url.host}, which is not encrypted")
            yield response
        finally:
            self._coming.discard(response)
            response.close()

    def range_headers(self, url: str, *, start: int) -> Mapping[str, str]:
        """Return the headers that ask for a file from a byte on."""
        del url
        return {"Range": f"bytes={start}-"} if start else {}

    @contextlib.contextmanager
    def foreign_errors(self, *, is_last: bool = True) -> Iterator[None]:
        """Turn what httpx raises into ours; when it is not the last attempt, only log it.

        Where no connection comes about, there is no network: that is told at once.
        """
        http_error, timeout, no_connection = self._errors
        try:
            yield
        except http_error as error:
            is_stall = isinstance(error, timeout)
            kind = ServerStalled if is_stall else ServerUnreachable
            what = (
                "does not answer in time"
                if is_stall
                else f"cannot be reached: {str(error) or type(error).__name__}"
            )
            if is_last or isinstance(error, no_connection):
                raise kind(f"{self.settings.endpoint} {what}", hint=self._network_hint) from error
            _LOG.warning("%s %s; asking again", self.settings.endpoint, what)

    @property
    def _network_hint(self) -> str:
        return "check the network; HF_HUB_OFFLINE=1 uses what was downloaded before"

    def _request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> httpx.Request:
        return self._http.build_request(method, url, headers={**self.settings.own_headers, **(headers or {})})

    def _is_own(self, url: str) -> bool:
        mine, theirs = urlsplit(self.settings.endpoint), urlsplit(url)
        return (mine.scheme, mine.netloc) == (theirs.scheme, theirs.netloc)

    def _attempts(self) -> Iterator[bool]:
        """Return whether an attempt is the last, with a pause before each but the first."""
        yield not self.retry_pauses
        for number, pause in enumerate(self.retry_pauses, start=1):
            time.sleep(pause)
            yield number == len(self.retry_pauses)

    def _get_json(self, url: str, *, repository: str, revision: str = "main") -> tuple[Any, str | None]:
        """Return an answer in JSON, and the address of the next page."""
        content, following = self._get(url, repository=repository, revision=revision, most_bytes=_MOST_BYTES)
        try:
            return json.loads(content), following
        except (ValueError, RecursionError) as error:
            page = content.lstrip()[:1] == b"<"
            raise self.protocol_error("it sends a web page" if page else "it sends no JSON") from error

    def _get(
        self, url: str, *, repository: str, revision: str, most_bytes: int, path: str | None = None
    ) -> tuple[bytes, str | None]:
        """Return the body of an answer, and the address of the next page."""
        for is_last in self._attempts():
            with (
                self.foreign_errors(is_last=is_last),
                contextlib.closing(self._http.send(self._request("GET", url), stream=True)) as response,
            ):
                if response.status_code >= _BAD:
                    self._raise_or_wait(
                        response, is_last=is_last, repository=repository, revision=revision, path=path
                    )
                    continue
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > most_bytes:
                        raise self.protocol_error("its answer has no end")
                return bytes(content), response.links.get("next", {}).get("url")
        raise AssertionError  # the last attempt returns or raises

    def _raise_or_wait(
        self,
        response: httpx.Response,
        *,
        is_last: bool,
        repository: str,
        revision: str,
        path: str | None = None,
    ) -> None:
        """Raise what a refusal means; wait instead where the next attempt may do better."""
        problem = self.refusal(response, repository=repository, revision=revision, path=path)
        pause = retry_pause(response)
        if is_last or pause is None:
            raise problem
        _LOG.warning("%s; asking again", problem.message)
        time.sleep(pause)


def retry_pause(response: httpx.Response) -> float | None:
    """Return the seconds that a server wants us to wait; ``None`` where waiting is of no use, or too long."""
    if response.status_code != _TOO_MANY and response.status_code < _SERVER_ERROR:
        return None
    told = response.headers.get("retry-after", "")
    pause = float(told) if told.isascii() and told.isdigit() and len(told) < 9 else 0.0  # noqa: PLR2004
    return pause if pause <= _LONGEST_PAUSE else None


def is_commit(text: object) -> bool:
    """Return whether a value names a commit: 7 to 64 hexadecimal digits."""
    return (
        isinstance(text, str) and 7 <= len(text) <= 64 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004
    )


def is_safe_path(path: str) -> bool:
    """Return whether a path stays within the folder it is put into, on every system."""
    parts = path.split("/")
    return path.isprintable() and not any(
        part in {"", ".", ".."} or "\\" in part or ":" in part or "\0" in part for part in parts
    )


def only_names(names: Sequence[object]) -> tuple[str, ...]:
    """Return those that are names of repositories, each once."""
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and _is_name(name)))


def _is_name(text: str) -> bool:
    owner, _, repo = text.partition("/")
    return bool(owner and repo) and all(char.isalnum() or char in "-_." for char in owner + repo)
