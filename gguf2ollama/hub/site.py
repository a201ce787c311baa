"""Ask the Hub over its HTTP interface (https://huggingface.co/docs/hub/api)."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from gguf2ollama.errors import (
    InvalidInput,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.hub.explain import explain_refusal, no_hub
from gguf2ollama.hub.settings import HubSettings
from gguf2ollama.hub.trust import trusted_certificates
from gguf2ollama.hub.variants import RepositoryFile

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

__all__ = ["RETRY_PAUSES", "HubSite", "RepositoryInfo", "parse_file", "retry_pause"]

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each new attempt of what failed for the moment."""

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 30.0
_LONGEST_PAUSE = 60.0  # that the Hub may ask for
_MOST_BYTES = 64 << 20  # of an answer in JSON
_MOST_FILES = 100_000
_QUANTIZED = "base_model:quantized:"
_TOO_MANY, _BAD, _SERVER_ERROR = 429, 400, 500
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryInfo:
    """What the Hub tells of a repository at a revision.

    Attributes:
        name: ``owner/repo``, as the Hub writes it.
        commit: The commit that the revision names now.
        parameters: The number of weights, as the Hub read it from a GGUF; ``None`` if it did not.
        base_models: The repositories that it was made from, those first that it is a quantization of.
    """

    name: str
    commit: str
    parameters: int | None = None
    base_models: tuple[str, ...] = ()


class HubSite:
    """A connection to the Hub; a context manager.

    Args:
        settings: Where it is, and the token; the token goes to its own scheme, host and port alone.
        retry_pauses: Seconds before each new attempt of a request that failed for the moment.
    """

    def __init__(self, settings: HubSettings, *, retry_pauses: Sequence[float] = RETRY_PAUSES) -> None:
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

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Give the address of a file."""
        return f"{self.settings.endpoint}/{repository}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.hub.explain`.
        """
        url = f"{self.settings.endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}"
        told, _ = self._get_json(url, repository=repository, revision=revision)
        commit = told.get("sha") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(commit, str) or not _is_commit(commit):
            raise no_hub(self.settings, f"it tells no commit of {repository}")
        gguf = told.get("gguf")
        total = gguf.get("total") if isinstance(gguf, dict) else None
        name = told.get("id")
        return RepositoryInfo(
            name=name if isinstance(name, str) and name.lower() == repository.lower() else repository,
            commit=commit,
            parameters=total if isinstance(total, int) and total > 0 else None,
            base_models=_base_models(told),
        )

    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List all files of a repository, those in folders too.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.hub.explain`.
        """
        root = f"{self.settings.endpoint}/api/models/{repository}/tree/{commit}"
        url: str | None = f"{root}?recursive=true&expand=false"
        found: list[RepositoryFile] = []
        while url is not None:
            told, following = self._get_json(url, repository=repository, revision=commit)
            if not isinstance(told, list) or len(found) + len(told) > _MOST_FILES:
                raise no_hub(self.settings, f"it lists no files of {repository}")
            found += [file for entry in told if (file := parse_file(entry)) is not None]
            if following is not None and not (told and self._is_own(following)):
                raise no_hub(self.settings, "its list of files goes on nowhere")
            url = following
        return found

    def made_from(self, repository: str) -> list[str]:
        """Name repositories that carry GGUF made from this one, the most downloaded first.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.hub.explain`.
        """
        asked = [("filter", "gguf"), ("filter", f"base_model:quantized:{repository}"), ("sort", "downloads")]
        url = f"{self.settings.endpoint}/api/models?{urlencode([*asked, ('limit', '5')])}"
        told, _ = self._get_json(url, repository=repository)
        if not isinstance(told, list):
            return []
        names = (one.get("id") for one in told if isinstance(one, dict))
        return [name for name in names if isinstance(name, str) and name.isprintable()][:5]

    def read_file(self, repository: str, path: str, *, revision: str, most_bytes: int) -> bytes:
        """Give the bytes of a small file.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.hub.explain`; also where it is longer than allowed.
        """
        url = self.file_url(repository, path, commit=revision)
        content, _ = self._get(
            url, repository=repository, revision=revision, path=path, most_bytes=most_bytes
        )
        return content

    def require_access(self, repository: str, path: str, *, commit: str) -> None:
        """Check that a file may be read, so that a refusal is explained before anything is fetched.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.hub.explain`.
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

        A redirect to another host is followed without the token. What httpx raises comes as it is.
        """
        request = self._request("GET", url, {"Range": f"bytes={start}-"} if start else {})
        response = self._http.send(request, stream=True)
        self._coming.add(response)
        try:
            yield response
        finally:
            self._coming.discard(response)
            response.close()

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
                raise kind(
                    f"{self.settings.endpoint} {what}",
                    hint="check the network; HF_HUB_OFFLINE=1 uses what was downloaded before",
                ) from error
            _LOG.warning("%s %s; asking again", self.settings.endpoint, what)

    def _request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> httpx.Request:
        own = {"Authorization": f"Bearer {self.settings.token}"} if self.settings.token else {}
        return self._http.build_request(method, url, headers={**own, **(headers or {})})

    def _is_own(self, url: str) -> bool:
        mine, theirs = urlsplit(self.settings.endpoint), urlsplit(url)
        return (mine.scheme, mine.netloc) == (theirs.scheme, theirs.netloc)

    def _attempts(self) -> Iterator[bool]:
        """Give whether an attempt is the last, with a pause before each but the first."""
        yield not self.retry_pauses
        for number, pause in enumerate(self.retry_pauses, start=1):
            time.sleep(pause)
            yield number == len(self.retry_pauses)

    def _get_json(self, url: str, *, repository: str, revision: str = "main") -> tuple[Any, str | None]:
        """Give an answer in JSON, and the address of the next page."""
        content, following = self._get(url, repository=repository, revision=revision, most_bytes=_MOST_BYTES)
        try:
            return json.loads(content), following
        except (ValueError, RecursionError) as error:
            page = content.lstrip()[:1] == b"<"
            raise no_hub(self.settings, "it sends a web page" if page else "it sends no JSON") from error

    def _get(
        self, url: str, *, repository: str, revision: str, most_bytes: int, path: str | None = None
    ) -> tuple[bytes, str | None]:
        """Give the body of an answer, and the address of the next page."""
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
                        raise no_hub(self.settings, "its answer has no end")
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
        problem = explain_refusal(
            response.status_code,
            response.headers,
            settings=self.settings,
            repository=repository,
            revision=revision,
            path=path,
        )
        pause = retry_pause(response)
        if is_last or pause is None:
            raise problem
        _LOG.warning("%s; asking again", problem.message)
        time.sleep(pause)


def retry_pause(response: httpx.Response) -> float | None:
    """Give the seconds that a server wants us to wait; ``None`` where waiting is of no use, or too long."""
    if response.status_code != _TOO_MANY and response.status_code < _SERVER_ERROR:
        return None
    told = response.headers.get("retry-after", "")
    pause = float(told) if told.isascii() and told.isdigit() and len(told) < 9 else 0.0  # noqa: PLR2004
    return pause if pause <= _LONGEST_PAUSE else None


def _is_commit(text: str) -> bool:
    return 7 <= len(text) <= 64 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004


def parse_file(entry: object) -> RepositoryFile | None:
    """Read one entry of a list of files; ``None`` for a folder, and for what no folder here could hold.

    Raises:
        InvalidInput: Its digest is none.
    """
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    path, size, lfs = entry.get("path"), entry.get("size"), entry.get("lfs")
    if not isinstance(path, str) or not isinstance(size, int) or size < 0 or not _is_safe(path):
        return None  # nothing that could be put into a folder here
    sha256 = None
    if isinstance(lfs, dict):
        sha256, size = str(lfs.get("oid", "")).removeprefix("sha256:"), lfs.get("size", size)
        if len(sha256) != 64 or not _is_commit(sha256) or not isinstance(size, int):  # noqa: PLR2004
            raise InvalidInput(f"the Hub lists {path} with a digest that is none")
    return RepositoryFile(path=path, size=size, sha256=sha256, is_xet=isinstance(entry.get("xetHash"), str))


def _is_safe(path: str) -> bool:
    """Tell whether a path stays within the folder it is put into, on every system."""
    parts = path.split("/")
    return path.isprintable() and not any(
        part in {"", ".", ".."} or "\\" in part or ":" in part or "\0" in part for part in parts
    )


def _base_models(told: Mapping[str, Any]) -> tuple[str, ...]:
    card, tags = told.get("cardData"), told.get("tags")
    named = card.get("base_model") if isinstance(card, dict) else None
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    if isinstance(tags, list):
        names = [tag.removeprefix(_QUANTIZED) for tag in tags if str(tag).startswith(_QUANTIZED)] + names
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and _is_name(name)))


def _is_name(text: str) -> bool:
    owner, _, repo = text.partition("/")
    return bool(owner and repo) and all(char.isalnum() or char in "-_." for char in owner + repo)
