"""The Hugging Face Hub over its HTTP interface (https://huggingface.co/docs/hub/api).

Two requests are all: what a revision is, and its files, both by :mod:`gguf2ollama.net`. huggingface_hub's
``HfApi`` sends the same two, but its import takes 0.16 s of CPU on top of httpcore2 (0.21 s alone; 2.4.0 on
two AMD cores), which every build of a cached model would pay; its client is one for the whole process
(``set_client_factory``), so that our deadlines and credentials would reach into programs that use both; and
it parses answers of any size. A test holds what is listed here to what ``HfApi`` lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotFound, ServerRefused, ServerStalled
from gguf2ollama.events import ignore
from gguf2ollama.net import RETRY_PAUSES, Response, host_of
from gguf2ollama.net.failures import printable
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.settings import HubSettings
from gguf2ollama.sources.sites.site import (
    LISTING_BYTES,
    LISTING_SECONDS,
    MOST_FILES,
    RepositoryInfo,
    Site,
    is_commit,
    is_safe_path,
    is_size,
    only_names,
)

__all__ = ["HubSite", "explain_refusal", "parse_file"]

_MOST_PAGES = 1000  # of a listing; the Hub sends 1,000 entries a page
_QUANTIZED = "base_model:quantized:"
_CAP_TAGS = 256
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 410, 429, 500
_LOG_IN = "hf auth login"
_PING_SECONDS = 10.0  # for an answer of some hundred bytes


class HubSite(Site):
    """Connections to the Hub; a context manager."""

    settings: HubSettings

    def __init__(
        self,
        settings: HubSettings,
        *,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
        notify: Callable[[str], None] = ignore,
    ) -> None:
        super().__init__(settings, retry_pauses=retry_pauses, notify=notify)

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the URL of a file."""
        return f"{self.settings.endpoint}/{repository}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names.

        Raises:
            Gguf2OllamaError: As :func:`explain_refusal` returns it.
        """
        url = f"{self.settings.endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}"
        found = self._get_json(url, repository=repository, revision=revision)
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(commit, str) or not is_commit(commit):
            raise self.protocol_error(f"no commit of {repository} in the response")
        gguf = found.get("gguf")
        total = gguf.get("total") if isinstance(gguf, dict) else None
        name = found.get("id")
        return RepositoryInfo(
            name=name if isinstance(name, str) and name.lower() == repository.lower() else repository,
            commit=commit,
            parameters=total if isinstance(total, int) and total > 0 else None,
            base_models=_base_models(found),
            tags=_tags(found),
        )

    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List all files of a repository, those in folders too.

        Raises:
            Gguf2OllamaError: As :func:`explain_refusal` returns it.
        """
        url = f"{self.settings.endpoint}/api/models/{repository}/tree/{commit}?recursive=true&expand=false"
        pages = self.http.get_pages(
            url,
            limit=LISTING_BYTES,
            refuse=self._refuser(repository, revision=commit),
            unexpected=self.protocol_error,
            most=_MOST_PAGES,
        )
        found: list[RepositoryFile] = []
        began, count = time.monotonic(), 0
        for number, page in enumerate(pages):
            if not isinstance(page, list) or (number and not page):
                raise self.protocol_error(f"no files of {repository} in the response")
            count += len(page)
            if count > MOST_FILES:
                raise self.protocol_error(f"{repository} has more than {MOST_FILES:,} files")
            if time.monotonic() - began > LISTING_SECONDS:
                raise ServerStalled(
                    f"{self.settings.endpoint} is too slow: the files of {repository} were not listed within"
                    f" {LISTING_SECONDS:g} s",
                    hint="try again later",
                )
            found += [file for entry in page if (file := parse_file(entry)) is not None]
        return found

    def quantized_repos(self, repository: str) -> list[str]:
        """Return repositories that carry GGUF made from this one, the most downloaded first.

        Raises:
            Gguf2OllamaError: As :func:`explain_refusal` returns it.
        """
        query = [("filter", "gguf"), ("filter", f"{_QUANTIZED}{repository}"), ("sort", "downloads")]
        url = f"{self.settings.endpoint}/api/models?{urlencode([*query, ('limit', '5')])}"
        found = self._get_json(url, repository=repository, revision="main")
        if not isinstance(found, list):
            return []
        names = (entry.get("id") for entry in found if isinstance(entry, dict))
        return [name for name in names if isinstance(name, str) and name.isprintable()][:5]

    def accepts_token(self) -> bool | None:
        """Return whether the Hub accepts the token; ``None`` if there is none, or if a mirror does not say.

        Raises:
            ServerProblem: It cannot be reached, or fails.
        """
        url = f"{self.settings.endpoint}/api/whoami-v2"
        try:
            self.http.get(url, limit=LISTING_BYTES, seconds=_PING_SECONDS)
        except ServerRefused as error:
            if not error.status or error.status >= _SERVER_ERROR:
                raise
            return False if self.settings.token and error.status == _UNAUTHORIZED else None
        return True if self.settings.token else None

    def fetch_by_library(self, repository: str, file: RepositoryFile, *, commit: str) -> Path | None:
        """Let huggingface_hub download what is kept in Xet into its cache, where that is wanted.

        Raises:
            ServerRefused: It failed.
        """
        if not (self.settings.wants_xet and file.is_xet):
            return None
        import huggingface_hub  # noqa: PLC0415 - 300 ms of import

        try:
            found = huggingface_hub.hf_hub_download(
                repository,
                file.path,
                revision=commit,
                cache_dir=self.settings.cache,
                endpoint=self.settings.endpoint,
                token=self.settings.token or False,
            )
        except Exception as error:  # of httpx in any version, of hf_xet in Rust
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ServerRefused(
                f"huggingface_hub could not download {file.path} of {repository} by Xet: {printable(reason)}",
                hint="run the same command again, or unset HF_XET_HIGH_PERFORMANCE",
            ) from error
        return Path(found)

    def refusal(
        self, response: Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Return the error for an answer that refuses something."""
        return explain_refusal(
            response.status,
            response.headers,
            settings=self.settings,
            repository=repository,
            revision=revision,
            path=path,
        )

    def protocol_error(self, what: str) -> ServerRefused:
        """Return the error for an answer that no Hub gives."""
        return ServerRefused(
            f"{self.settings.endpoint} does not respond as a Hugging Face Hub does: {what}",
            hint="check HF_ENDPOINT, and whether the network requires you to sign in first",
        )


def parse_file(entry: object) -> RepositoryFile | None:
    """Read one entry of a list of files; ``None`` for a folder, and for what no folder here could hold.

    Raises:
        InvalidInput: Its digest is invalid.
    """
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    path, size, lfs = entry.get("path"), entry.get("size"), entry.get("lfs")
    if not isinstance(path, str) or not is_size(size) or not is_safe_path(path):
        return None  # nothing that could be put into a folder here
    sha256 = None
    if isinstance(lfs, dict):
        sha256, size = str(lfs.get("oid", "")).removeprefix("sha256:"), lfs.get("size", size)
        if len(sha256) != 64 or not is_commit(sha256) or not is_size(size):  # noqa: PLR2004
            raise InvalidInput(f"the Hub lists {path} with an invalid digest or size")
    oid = entry.get("oid")
    is_git = sha256 is None and is_commit(oid) and len(str(oid)) == 40  # noqa: PLR2004
    return RepositoryFile(
        path=path,
        size=size,
        sha256=sha256,
        git_oid=str(oid) if is_git else None,
        is_xet=isinstance(entry.get("xetHash"), str),
    )


def explain_refusal(
    status: int,
    headers: Mapping[str, str],
    *,
    settings: HubSettings,
    repository: str,
    revision: str = "main",
    path: str | None = None,
) -> Gguf2OllamaError:
    """Return the error for an answer that refuses something.

    The Hub says why in the header ``X-Error-Code``, and by the status where there is none, as huggingface_hub
    reads it (``hf_raise_for_status`` of its ``utils/_http.py``).

    Args:
        status: The HTTP status.
        headers: Of the answer, their names in lower case.
        settings: How the Hub was asked; no message holds the token.
        repository: What it was asked for.
        revision: Of which state.
        path: Which file, if it was one.
    """
    code = headers.get("x-error-code")
    has_token = settings.token is not None
    page = f"{settings.endpoint}/{repository}"
    if code == "GatedRepo":
        return _gated(repository, page=page, has_token=has_token, status=status)
    if code == "RevisionNotFound":
        return NotFound(
            f"{repository} has no revision {revision!r}", hint=f"see its branches: {page}/tree/main"
        )
    if code == "EntryNotFound":
        return NotFound(
            f"{repository} has no file {path!r} at {revision}", hint=f"see its files: {page}/tree/{revision}"
        )
    if status == _UNAUTHORIZED and has_token and code is None:
        return ServerRefused(
            "authentication failed: your Hugging Face token is invalid or expired",
            hint=f"create a token at {settings.endpoint}/settings/tokens, then run: {_LOG_IN}",
            status=status,
        )
    if code == "RepoNotFound" or status in {_UNAUTHORIZED, _NOT_FOUND}:
        who = "it is private and your token has no access to it" if has_token else "it is private"
        hint = "check its name" if has_token else f"check its name; for a private one, run: {_LOG_IN}"
        return NotFound(f"repository {repository} not found at {settings.endpoint}, or {who}", hint=hint)
    return _by_status(status, headers, settings=settings, repository=repository)


def _by_status(
    status: int, headers: Mapping[str, str], *, settings: HubSettings, repository: str
) -> ServerRefused:
    page, host = f"{settings.endpoint}/{repository}", host_of(settings.endpoint)
    what, hint = f"{host} refused access to {repository} (HTTP {status})", f"see {page}"
    if status == _TOO_MANY:
        pause = headers.get("retry-after", "")
        wait = f"wait {pause} seconds" if pause.isdigit() else "wait a few minutes"
        more = "" if settings.token else f"; with a token the limit is higher: {_LOG_IN}"
        what, hint = f"rate limited by {host} (HTTP 429)", f"{wait}{more}"
    elif status >= _SERVER_ERROR:
        what, hint = f"{host} returned HTTP {status}", "try again later"
    elif status in {_FORBIDDEN, _GONE} and (reason := printable(headers.get("x-error-message", ""))):
        what = f"{what}: {reason}"
        hint = f"see {page}, and check that your token may read it"
    return ServerRefused(what, hint=hint, status=status)


def _gated(repository: str, *, page: str, has_token: bool, status: int) -> ServerRefused:
    if has_token:
        return ServerRefused(
            f"{repository} is gated, and your token has no access to it",
            hint=f"request access at {page}; a fine-grained token needs the right to read gated repositories",
            status=status,
        )
    return ServerRefused(
        f"{repository} is gated", hint=f"accept its terms at {page}, then run: {_LOG_IN}", status=status
    )


def _tags(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tags of a repository, that of its task (the pipeline of transformers) first."""
    tags = found.get("tags")
    named = [found.get("pipeline_tag"), *(tags[:_CAP_TAGS] if isinstance(tags, list) else [])]
    return tuple(dict.fromkeys(tag for tag in named if isinstance(tag, str)))


def _base_models(found: Mapping[str, Any]) -> tuple[str, ...]:
    card, tags = found.get("cardData"), found.get("tags")
    named = card.get("base_model") if isinstance(card, dict) else None
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    if isinstance(tags, list):
        names = [tag.removeprefix(_QUANTIZED) for tag in tags if str(tag).startswith(_QUANTIZED)] + names
    return only_names(names)
