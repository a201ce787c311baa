"""A site that keeps models: what it is asked, whatever site it is.

How each is asked, and what it answers, is in its own class:
:class:`~gguf2ollama.sources.sites.huggingface.HubSite`,
:class:`~gguf2ollama.sources.sites.modelscope.ModelScopeSite`,
and :class:`~gguf2ollama.sources.sites.url.UrlSite` for files that lie at no such site. All of them go through
:mod:`gguf2ollama.net`, which retries, follows redirects and bounds answers.
"""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, ServerProblem, ServerRefused
from gguf2ollama.events import ignore
from gguf2ollama.net import RETRY_PAUSES, Failure, FailureKind, HttpClient, Response, explain
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.remote_file import RemoteFile
from gguf2ollama.sources.sites.remote_streams import RangeReader
from gguf2ollama.sources.sites.settings import SiteSettings

if TYPE_CHECKING:
    from typing import Self, TypeGuard

__all__ = ["RepositoryInfo", "Site", "is_commit", "is_safe_path", "is_size", "only_names"]

MOST_FILES = 100_000
"""Files that are listed of a repository at most."""

LISTING_BYTES = 8 << 20
"""The most bytes of a page of a listing."""

REVISION_BYTES = 4 << 20
"""The most bytes of what a site says of a repository at a revision."""

ANSWER_SECONDS = 60.0
"""In which a short answer has to come."""

LISTING_SECONDS = 300.0
"""In which all pages of a listing have to come."""

_REPEAT_SECONDS = 30.0
_CAP_SIZE = 1 << 62  # bytes
_DEVICE = lazy_pattern(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?")
_NO_NETWORK = {FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT, FailureKind.STALLED, FailureKind.LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryInfo:
    """What a site says of a repository at a revision.

    Attributes:
        name: ``owner/repo``, as the site writes it.
        commit: The commit that the revision names now; empty for files that lie in no repository.
        parameters: The number of weights, as the site read it from a GGUF; ``None`` if it did not.
        base_models: The repositories that it was made from, those first that it is a quantization of.
        tags: What it is for, in the words of the site.
    """

    name: str
    commit: str
    parameters: int | None = None
    base_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Site(abc.ABC):
    """Connections to a site; a context manager.

    Args:
        settings: Where it is, and the credentials for it.
        retry_pauses: Seconds before each new attempt of a request that failed for the moment.
        notify: Called with a line when something takes longer than a user would expect.

    Attributes:
        settings: As given.
        http: The connections.
    """

    offline_hint = "check the network; HF_HUB_OFFLINE=1 uses what was downloaded before"

    def __init__(
        self,
        settings: SiteSettings,
        *,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
        notify: Callable[[str], None] = ignore,
    ) -> None:
        self.settings = settings
        self.http = HttpClient(
            origin=settings.endpoint,
            own_headers=settings.own_headers,
            retry_pauses=retry_pauses,
            explain=self._explain,
            notify=_once_in_a_while(notify),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; whatever waits for one, on any thread, ends at once."""
        self.http.close()

    # what differs from site to site

    @abc.abstractmethod
    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the URL of a file."""

    @abc.abstractmethod
    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names; raises ``Gguf2OllamaError``."""

    @abc.abstractmethod
    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List all files of a repository, those in folders too; raises ``Gguf2OllamaError``."""

    @abc.abstractmethod
    def refusal(
        self, response: Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Return the error for an answer that refuses something; its body may be unread.

        Args:
            response: The answer.
            repository: What was asked for.
            revision: In which state.
            path: Which file, if it was one.
        """

    @abc.abstractmethod
    def protocol_error(self, what: str) -> ServerRefused:
        """Return the error for an answer that no such site gives."""

    def quantized_repos(self, repository: str) -> list[str]:
        """Return repositories that carry GGUF made from this one; none where a site has no such search."""
        del repository
        return []

    # what is asked of all sites alike

    def read_file(self, repository: str, path: str, *, revision: str, most_bytes: int) -> bytes:
        """Return the bytes of a small file.

        Raises:
            Gguf2OllamaError: The site refuses; also where it is longer than allowed.
        """
        url = self.file_url(repository, path, commit=revision)
        refuse = self._refuser(repository, revision=revision, path=path)
        return bytes(self.http.get(url, limit=most_bytes, refuse=refuse))

    def remote_file(self, repository: str, file: RepositoryFile, *, commit: str) -> RemoteFile:
        """Return a file, to be read or downloaded; nothing is sent yet."""
        return RemoteFile(
            self.http,
            self.file_url(repository, file.path, commit=commit),
            name=self.label(repository, file.path),
            size=file.size,
            mark=self.mark(file),
            has_digest=file.sha256 is not None,
            refuse=self._refuser(repository, revision=commit, path=file.path),
            unexpected=lambda what: ServerRefused(
                f"unexpected content instead of {self.label(repository, file.path)}: {what}",
                hint=self.protocol_error(what).hint,
            ),
        )

    def label(self, repository: str, path: str) -> str:
        """Return what messages call a file."""
        return f"{path} of {repository}"

    def open_header(self, repository: str, file: RepositoryFile, *, commit: str) -> RangeReader:
        """Open a file to read its header where it is; close it after use.

        Raises:
            Gguf2OllamaError: The site refuses.
        """
        return RangeReader(self.remote_file(repository, file, commit=commit))

    def fetch_by_library(self, repository: str, file: RepositoryFile, *, commit: str) -> Path | None:
        """Let the site's own library download a file into its cache; ``None`` where that is not wanted."""
        del repository, file, commit
        return None

    def mark(self, file: RepositoryFile) -> str:
        """Return what the site calls the state of a file; empty where that is not known, or no use."""
        del file
        return ""

    def _refuser(
        self, repository: str, *, revision: str, path: str | None = None
    ) -> Callable[[Response], Gguf2OllamaError]:
        return lambda response: self.refusal(response, repository=repository, revision=revision, path=path)

    def _get_json(self, url: str, *, repository: str, revision: str, limit: int = REVISION_BYTES) -> object:
        return self.http.get_json(
            url,
            limit=limit,
            refuse=self._refuser(repository, revision=revision),
            unexpected=self.protocol_error,
            seconds=ANSWER_SECONDS,
        )

    def _explain(self, failure: Failure) -> ServerProblem:
        problem = explain(failure)
        if failure.kind in _NO_NETWORK:
            problem.hint = self.offline_hint
        return problem


def _once_in_a_while(notify: Callable[[str], None]) -> Callable[[str], None]:
    """Return a callable that drops a line which it passed on a moment ago: many connections wait alike."""
    passed: dict[str, float] = {}
    lock = threading.Lock()

    def pass_on(line: str) -> None:
        now = time.monotonic()
        with lock:
            is_new = now - passed.get(line, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
            if is_new:
                passed[line] = now
        if is_new:
            notify(line)

    return pass_on


def is_commit(text: object) -> bool:
    """Return whether a value names a commit: 7 to 64 hexadecimal digits."""
    return (
        isinstance(text, str) and 7 <= len(text) <= 64 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004
    )


def is_size(value: object) -> TypeGuard[int]:
    """Return whether a value is a number of bytes."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _CAP_SIZE


def is_safe_path(path: str) -> bool:
    """Return whether a path stays within the folder it is put into, on every system.

    Windows takes names such as ``nul.gguf`` for devices, and drops dots and spaces at the end of others.
    """
    parts = path.split("/")
    return path.isprintable() and not any(
        not part
        or part[-1] in ". "  # that of ".." too
        or "\\" in part
        or ":" in part
        or "\0" in part
        or _DEVICE.fullmatch(part)
        for part in parts
    )


def only_names(names: Sequence[object]) -> tuple[str, ...]:
    """Return those that are names of repositories, each once."""
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and _is_name(name)))


def _is_name(text: str) -> bool:
    owner, _, repo = text.partition("/")
    return bool(owner and repo) and all(char.isalnum() or char in "-_." for char in owner + repo)
