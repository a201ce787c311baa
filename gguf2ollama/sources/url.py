"""Files that lie at a URL and at no site that keeps models: asked for one by one, and kept by us.

No digest is told of them. What tells one state of a file from another is its length and what the server calls
it (``ETag``, or else ``Last-Modified``): a download goes on only with the same, and is kept under a name that
is made of both and of the URL, so that it is fetched once as long as nothing changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotFound, ServerRefused, UsageProblem
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.ggufio import ShardName, shard_name
from gguf2ollama.sources.cache import CachedRepository, file_lock
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.remote_file import public_url
from gguf2ollama.sources.settings import SiteSettings
from gguf2ollama.sources.site import RETRY_PAUSES, RepositoryInfo, Site, is_commit, is_safe_path

if TYPE_CHECKING:
    import httpx

__all__ = ["UrlCache", "UrlSettings", "UrlSite"]

_MOST_SHARDS = 1000  # that are asked for because a name says so
_CONTENT_RANGE = re.compile(r"bytes [0-9]{1,18}-[0-9]{1,18}/([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")
_OK, _PARTIAL, _NOT_FOUND, _GONE, _TOO_MANY, _SERVER_ERROR = 200, 206, 404, 410, 429, 500
_DENIED = frozenset({401, 403})
_KEY_DIGITS = 24
_SIGNED = re.compile(
    r"(?:x-(?:amz|goog|oss|cos)-|se$|sig$|signature$|expires$|policy$|key-pair-id$|token$|auth_key$)",
    re.IGNORECASE,
)
"""Names of what a signature adds to a query: another each time, for the same file."""


@dataclass(frozen=True, kw_only=True)
class UrlSettings(SiteSettings):
    """How a file at a URL is got.

    Attributes:
        url: The URL; its query may be a signature, and is never shown.
    """

    key: str = "url"
    url: str = field(repr=False)

    @classmethod
    def from_environment(cls, url: str, environ: Mapping[str, str] = os.environ) -> UrlSettings:
        """Keep downloads in the user's cache folder.

        Raises:
            UsageProblem: It is no URL of a file.
        """
        parts = urlsplit(public_url(url))
        base = environ.get("XDG_CACHE_HOME") or environ.get("LOCALAPPDATA") or "~/.cache"
        return cls(
            endpoint=f"{parts.scheme}://{parts.netloc}",
            cache=Path(base).expanduser() / "gguf2ollama" / "downloads",
            url=url,
        )

    def cached(self, name: str, *, revision: str) -> UrlCache:
        """Return where downloads of this URL are kept."""
        del name, revision
        return UrlCache(cache=self.cache)


@dataclass(frozen=True, kw_only=True)
class UrlCache(CachedRepository):
    """Downloads, in a folder for each state of what a URL leads to."""

    cache: Path

    @property
    def root(self) -> Path:
        """The folder of all downloads."""
        return self.cache

    def path(self, file: str, *, commit: str) -> Path:
        """Where a file is, or will be."""
        return self.cache / commit / file

    def commit_of(self, revision: str) -> str:
        """Return nothing: no state of it has a name."""
        del revision
        return ""

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """Return none: without a network nothing tells what a URL has."""
        del commit
        return []

    def locked(self, file: RepositoryFile, *, commit: str) -> AbstractContextManager[None]:
        """Hold a lock of ours."""
        return file_lock(self.cache / commit / f".{file.path}.lock")

    def learn(self, file: RepositoryFile, *, commit: str, digest: str) -> None:
        """Remember the digest of a file that came whole."""
        target = self._digest_path(file.path, commit=commit)
        with contextlib.suppress(OSError, Gguf2OllamaError):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(target) as stream:
                stream.write(f"{digest}\n".encode())

    def digest(self, file: str, *, commit: str) -> str | None:
        """Tell the digest of a file that came whole before."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            told = self._digest_path(file, commit=commit).read_text(encoding="ascii").strip()
            return told if len(told) == 64 and is_commit(told) else None  # noqa: PLR2004
        return None

    def _digest_path(self, file: str, *, commit: str) -> Path:
        return self.cache / commit / f".{file}.sha256"


class UrlSite(Site):
    """A connection to the server of a URL; a context manager."""

    settings: UrlSettings

    def __init__(self, settings: UrlSettings, *, retry_pauses: Sequence[float] = RETRY_PAUSES) -> None:
        super().__init__(settings, retry_pauses=retry_pauses)
        self._urls: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._marks: dict[str, str] = {}  # by URL

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the address of a file."""
        del repository, commit
        return self._urls[path]

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what the file of the URL is, and if it is a shard, what the others are.

        Raises:
            Gguf2OllamaError: One is not there, or the server refuses.
        """
        del revision
        url, mark, query = self.settings.url.partition("?")
        folder, _, written = url.rpartition("/")
        for name in _names(unquote(written)):
            if not is_safe_path(name):
                raise UsageProblem(
                    f"{public_url(url)} names no file", hint="one reads https://host/path/model.gguf"
                )
            is_named = name == unquote(written)
            self._urls[name] = f"{folder}/{written if is_named else quote(name)}{mark}{query}"
            self._ask_file(name, repository=repository)
        return RepositoryInfo(name=repository, commit=self._state())

    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List what was asked for."""
        del repository
        cached = self.settings.cached("", revision="")
        return [
            RepositoryFile(path=name, size=size, sha256=cached.digest(name, commit=commit))
            for name, size in self._sizes.items()
        ]

    def require_access(self, repository: str, path: str, *, commit: str) -> None:
        """Do nothing: each file was asked for when they were listed."""

    @contextlib.contextmanager
    def open_file(self, url: str, *, start: int) -> Iterator[httpx.Response]:
        """Ask for a file from a byte on; it has to be in the state in which it was listed.

        Raises:
            InvalidInput: It is not.
        """
        with super().open_file(url, start=start) as response:
            known, now = self._marks.get(url), _mark(response)
            if response.status_code in {_OK, _PARTIAL} and known and now and now != known:
                raise InvalidInput(
                    f"{public_url(url)} was changed while it was read", hint="run the same command again"
                )
            yield response

    def range_headers(self, url: str, *, start: int) -> Mapping[str, str]:
        """Return the headers that ask for a file from a byte on, if it is in the same state."""
        mark = self._marks.get(url, "")
        is_same = {"If-Range": mark} if start and mark.startswith('"') else {}
        return {**super().range_headers(url, start=start), **is_same}

    def refusal(
        self, response: httpx.Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Make the error for an answer that refuses something."""
        del revision
        status, name = response.status_code, f"{repository}/{path or ''}"
        if status in {_NOT_FOUND, _GONE}:
            return NotFound(f"there is no file at {name}", hint="check the address")
        if status in _DENIED:
            return ServerRefused(
                f"{name} may not be read: the server answers with status {status}",
                hint="a signed address ends after some time: make a new one; others may need a login",
                status=status,
            )
        what = f"{name}: the server answers with status {status}"
        return ServerRefused(what, hint="try again later", status=status)

    def protocol_error(self, what: str) -> ServerRefused:
        """Make the error for an answer that no server of files gives."""
        return ServerRefused(
            f"{self.settings.endpoint} does not send a file: {what}",
            hint="check the address, and whether it or the network wants you to sign in first",
        )

    @property
    def _network_hint(self) -> str:
        return "check the network and the address"

    def _ask_file(self, name: str, *, repository: str) -> None:
        """Ask for the first byte of a file, since a signed address may allow nothing but to get it."""
        url = self._urls[name]
        for is_last in self._attempts():
            with self.foreign_errors(is_last=is_last):
                request = self._request("GET", url, {"Range": "bytes=0-0"})
                with contextlib.closing(self._http.send(request, stream=True)) as response:
                    if response.status_code in {_OK, _PARTIAL}:
                        self._learn(name, response)
                        return
                    self._raise_or_wait(
                        response, is_last=is_last, repository=repository, revision="", path=name
                    )

    def _learn(self, name: str, response: httpx.Response) -> None:
        told = response.headers.get("content-length", "")
        if response.status_code == _PARTIAL:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            told = match[1] if match else ""
        if not _LENGTH.fullmatch(told):
            raise self.protocol_error(f"it does not tell how long {name} is")
        self._sizes[name] = int(told)
        self._marks[self._urls[name]] = _mark(response)

    def _state(self) -> str:
        """Name the state of all files; what a signature adds to the address is no part of that."""
        query = parse_qsl(urlsplit(self.settings.url).query, keep_blank_values=True)
        asked = [pair for pair in query if not _SIGNED.match(pair[0])]
        files = [(name, size, self._marks[self._urls[name]]) for name, size in self._sizes.items()]
        seed = repr((public_url(self.settings.url), asked, files))
        return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


def _names(name: str) -> Iterator[str]:
    shard = ShardName.parse(name)
    if shard is None or shard.count > _MOST_SHARDS:
        yield name
        return
    for no in range(shard.count):
        yield shard_name(shard.prefix, no=no, count=shard.count)


def _mark(response: httpx.Response) -> str:
    return str(response.headers.get("etag") or response.headers.get("last-modified", ""))
