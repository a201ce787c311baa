"""Files that lie at a URL and at no site that keeps models: asked for one by one, and kept by us.

No digest of them is known. Their state is known by their length and by what the server calls it (``ETag``, or
else ``Last-Modified``): a download continues only within the same state, and is kept under a name that is
made of both and of the URL, so that it is fetched once as long as nothing changes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused, UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.ggufio import ShardName
from gguf2ollama.net import RETRY_PAUSES, ByteRange, Response, public_url
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.remote_file import RemoteFile
from gguf2ollama.sources.sites.settings import UrlSettings
from gguf2ollama.sources.sites.site import RepositoryInfo, Site, is_safe_path

__all__ = ["UrlSite"]

_MOST_SHARDS = 1000  # that are asked for because a name says so
_ANSWER_SECONDS = 60.0
_NOT_FOUND, _GONE, _DENIED = 404, 410, frozenset({401, 403})
_KEY_DIGITS = 24
_SIGNED = lazy_pattern(
    r"(?:x-(?:amz|goog|oss|cos)-|se$|sig$|signature$|expires$|policy$|key-pair-id$|token$|auth_key$)",
    re.IGNORECASE,
)
"""Names of what a signature adds to a query: another each time, for the same file."""


class UrlSite(Site):
    """Connections to the server of a URL; a context manager."""

    settings: UrlSettings
    offline_hint = "check the network and the address"

    def __init__(
        self,
        settings: UrlSettings,
        *,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
        notify: Callable[[str], None] = ignore,
    ) -> None:
        super().__init__(settings, retry_pauses=retry_pauses, notify=notify)
        self._urls: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._marks: dict[str, str] = {}

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the URL of a file."""
        del repository, commit
        return self._urls[path]

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what the file of the URL is, and if it is a shard, what the others are.

        Raises:
            Gguf2OllamaError: One does not exist, or the server refuses.
        """
        del revision
        url, mark, query = self.settings.url.partition("?")
        folder, _, written = url.rpartition("/")
        for name in _names(unquote(written)):
            if not is_safe_path(name):
                raise UsageProblem(
                    f"{public_url(url)} is not the URL of a file",
                    hint="use a URL such as https://host/path/model.gguf",
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

    def label(self, repository: str, path: str) -> str:
        """Return the URL of a file, without its query."""
        return f"{repository}/{path}"

    def mark(self, file: RepositoryFile) -> str:
        """Return what the server calls the state of a file; empty where it does not say."""
        return self._marks[file.path]

    def refusal(
        self, response: Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Return the error for an answer that refuses something."""
        del revision
        status, name = response.status, self.label(repository, path or "")
        if status in {_NOT_FOUND, _GONE}:
            return NotFound(f"there is no file at {name} (HTTP {status})", hint="check the address")
        if status in _DENIED:
            return ServerRefused(
                f"access to {name} is denied (HTTP {status})",
                hint="a signed URL expires: create a new one; other URLs may need a login",
                status=status,
            )
        return ServerRefused(
            f"{name}: the server returned HTTP {status}", hint="try again later", status=status
        )

    def protocol_error(self, what: str) -> ServerRefused:
        """Return the error for an answer that no server of files gives."""
        return ServerRefused(
            f"unexpected response from {self.settings.endpoint}: {what}",
            hint="check the address, and whether it or the network requires you to sign in first",
        )

    def _ask_file(self, name: str, *, repository: str) -> None:
        """Ask for the first byte of a file, since a signed URL may allow nothing but to get it."""
        file = RemoteFile(
            self.http,
            self._urls[name],
            name=self.label(repository, name),
            refuse=self._refuser(repository, revision="", path=name),
        )

        def attempt() -> None:
            file.open(ByteRange(start=0, end=1), seconds=_ANSWER_SECONDS).response.close()

        self.http.retry(attempt)
        self._sizes[name], self._marks[name] = file.size, file.mark

    def _state(self) -> str:
        """Name the state of all files; what a signature adds to the address is no part of that."""
        query = parse_qsl(urlsplit(self.settings.url).query, keep_blank_values=True)
        kept = [pair for pair in query if not _SIGNED.match(pair[0])]
        files = [(name, size, self._marks[name]) for name, size in self._sizes.items()]
        seed = repr((public_url(self.settings.url), kept, files))
        return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


def _names(name: str) -> Iterator[str]:
    shard = ShardName.parse(name)
    if shard is None or shard.count > _MOST_SHARDS:
        yield name
        return
    for no in range(shard.count):
        yield shard.of(no)
