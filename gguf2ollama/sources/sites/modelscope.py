"""ModelScope over its HTTP interface, of which its own library is the description.

Read in modelscope_hub 0.5.1 (``_legacy_api.py``, ``_download.py``), which modelscope 1.40 uses:

- ``GET /api/v1/models/OWNER/REPO/repo/files?Revision=…&Recursive=True`` lists files, each with a sha256,
  whether in LFS or not; it ends without a word after 3,000, and then each folder is asked for (``Root``).
- ``GET /api/v1/models/OWNER/REPO/repo?Revision=…&FilePath=…`` sends a file: one in LFS by a redirect to a
  signed address that knows ranges, any other as it is, whatever range was asked for.
- Answers in JSON are ``{"Code": 200, "Success": true, "Data": …}``; the token goes as ``Authorization:
  Bearer`` and as the cookie ``m_session_id``.

Not in the library, but seen by others in answers of the site: a refusal is a 404, distinguished by ``Code``;
the list of a revision that does not exist may come with status 200 and without files; ``LatestCommitter`` has
the short name of the commit, of which ``GET …/commits?Ref=…&PageSize=1`` has the whole. None of these is
relied on alone.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused, ServerStalled
from gguf2ollama.events import ignore
from gguf2ollama.net import RETRY_PAUSES, Response, host_of, parse_json
from gguf2ollama.net.failures import printable
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.settings import ModelScopeSettings
from gguf2ollama.sources.sites.site import (
    LISTING_BYTES,
    LISTING_SECONDS,
    MOST_FILES,
    REVISION_BYTES,
    RepositoryInfo,
    Site,
    is_commit,
    is_safe_path,
    is_size,
    only_names,
)

__all__ = ["ModelScopeSite", "parse_file"]

_MOST_ENTRIES = 3000  # of one list
_MOST_LISTS = 1000
_SHOWN_REVISIONS = 20
_COMMIT_DIGITS, _SHA256_DIGITS = 40, 64
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_PING_SECONDS = 10.0
_NO_TREE, _NO_FILE, _NO_ACCESS = 10990101004, 10990101007, 10010200001
_TOKEN_REFUSED = 10010103009
_LOG_IN = "modelscope login"


class ModelScopeSite(Site):
    """Connections to ModelScope; a context manager."""

    settings: ModelScopeSettings

    def __init__(
        self,
        settings: ModelScopeSettings,
        *,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
        notify: Callable[[str], None] = ignore,
    ) -> None:
        super().__init__(settings, retry_pauses=retry_pauses, notify=notify)
        self._listed: dict[tuple[str, str], list[RepositoryFile]] = {}

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the URL of a file."""
        return f"{self._api(repository)}/repo?{urlencode({'Revision': commit, 'FilePath': path})}"

    def ping(self) -> None:
        """Ask for anything, to see whether ModelScope answers.

        Raises:
            ServerProblem: It cannot be reached, or fails.
        """
        try:
            self.http.get(f"{self.settings.endpoint}/", limit=LISTING_BYTES, seconds=_PING_SECONDS)
        except ServerRefused as error:
            if not error.status or error.status >= _SERVER_ERROR:
                raise

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names.

        Where ModelScope does not name the commit, the revision stands for it: the digests of the files still
        hold what is fetched to what was listed.

        Raises:
            Gguf2OllamaError: There is no such repository or revision, or ModelScope refuses.
        """
        about, entries = self._list(repository, revision=revision)
        if entries is None:
            raise self._no_revision(repository, revision)
        commit = self._commit(repository, revision, about, entries) or revision
        self._listed[repository, commit] = [
            file for entry in entries if (file := parse_file(entry)) is not None
        ]
        base = self._detail(repository).get("BaseModel")
        bases = [base] if isinstance(base, str) else base if isinstance(base, list) else []
        return RepositoryInfo(name=repository, commit=commit, base_models=only_names(bases))

    def files(self, repository: str, *, commit: str) -> list[RepositoryFile]:
        """List all files of a repository, those in folders too.

        Raises:
            Gguf2OllamaError: There is no such repository or revision, or ModelScope refuses.
        """
        if (listed := self._listed.get((repository, commit))) is not None:
            return listed
        _, entries = self._list(repository, revision=commit)
        if entries is None:
            raise self._no_revision(repository, commit)
        return [file for entry in entries if (file := parse_file(entry)) is not None]

    def read_file(self, repository: str, path: str, *, revision: str, most_bytes: int) -> bytes:
        """Return the bytes of a small file; that there is none may be said with status 200."""
        content = super().read_file(repository, path, revision=revision, most_bytes=most_bytes)
        if _code(_parse(content)):
            raise NotFound(f"{repository} has no file {path!r} at {revision}")
        return content

    def refusal(
        self, response: Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Return the error for an answer that refuses something."""
        content = _parse(response.read_start())
        status, code = response.status, _code(content)
        if code == _NO_FILE:
            hint = f"see its files: {self._page(repository)}/files"
            return NotFound(f"{repository} has no file {path!r} at {revision}", hint=hint)
        if code == _NO_TREE:
            return self._no_revision(repository, revision)
        if code == _TOKEN_REFUSED or (status == _UNAUTHORIZED and self.settings.token):
            return ServerRefused(
                "authentication failed: your ModelScope token is invalid or expired",
                hint=f"create a token at {self.settings.endpoint}/my/myaccesstoken, then run: {_LOG_IN}",
                status=status,
            )
        if code == _NO_ACCESS or status in {_UNAUTHORIZED, _FORBIDDEN}:
            return self._no_access(repository, status)
        if status == _NOT_FOUND:
            return self._no_repository(repository)
        return self._by_status(response, content, repository)

    def protocol_error(self, what: str) -> ServerRefused:
        """Return the error for an answer that ModelScope never gives."""
        return ServerRefused(
            f"{self.settings.endpoint} does not respond as ModelScope does: {what}",
            hint="check MODELSCOPE_ENDPOINT, and whether the network requires you to sign in first",
        )

    # what is asked

    def _api(self, repository: str) -> str:
        return f"{self.settings.endpoint}/api/v1/models/{repository}"

    def _page(self, repository: str) -> str:
        return f"{self.settings.endpoint}/models/{repository}"

    def _ask(
        self, url: str, *, repository: str, revision: str, limit: int = REVISION_BYTES
    ) -> dict[str, Any]:
        """Return what an answer holds in ``Data``."""
        content = self._get_json(url, repository=repository, revision=revision, limit=limit)
        data = content.get("Data") if isinstance(content, dict) else None
        if not isinstance(content, dict) or content.get("Success") is False or not isinstance(data, dict):
            raise self.protocol_error(_message(content) or f"nothing about {repository} in the response")
        return data

    def _list(
        self, repository: str, *, revision: str
    ) -> tuple[Mapping[str, Any], list[Mapping[str, Any]] | None]:
        """Return what one list says besides, and all entries; ``None`` where there is no such revision."""
        first, entries = self._list_once(repository, revision=revision, root="", is_recursive=True)
        if entries is None or len(entries) < _MOST_ENTRIES:
            return first, entries
        found, roots, count, began = [], [""], 0, time.monotonic()
        while roots:
            root, count = roots.pop(), count + 1
            _, below = self._list_once(repository, revision=revision, root=root, is_recursive=False)
            if below is None or len(below) >= _MOST_ENTRIES or count > _MOST_LISTS:
                raise self.protocol_error(f"the list of the files of {repository} is cut off")
            found += [entry for entry in below if entry.get("Type") != "tree"]
            folders = (entry.get("Path") for entry in below if entry.get("Type") == "tree")
            roots += [str(folder) for folder in folders if folder]
            if len(found) > MOST_FILES or len(roots) > _MOST_LISTS:
                raise self.protocol_error(f"{repository} has more than {MOST_FILES:,} files")
            if time.monotonic() - began > LISTING_SECONDS:
                raise ServerStalled(
                    f"{self.settings.endpoint} is too slow: the files of {repository} were not listed within"
                    f" {LISTING_SECONDS:g} s",
                    hint="try again later",
                )
        return first, found

    def _list_once(
        self, repository: str, *, revision: str, root: str, is_recursive: bool
    ) -> tuple[dict[str, Any], list[Mapping[str, Any]] | None]:
        query = {"Revision": revision, "Recursive": str(is_recursive)} | ({"Root": root} if root else {})
        url = f"{self._api(repository)}/repo/files?{urlencode(query)}"
        data = self._ask(url, repository=repository, revision=revision, limit=LISTING_BYTES)
        files = data.get("Files")
        if files is None:
            return data, None
        if not isinstance(files, list):
            raise self.protocol_error(f"no files of {repository} in the response")
        return data, [entry for entry in files if isinstance(entry, dict)]

    def _commit(
        self,
        repository: str,
        revision: str,
        about: Mapping[str, Any],
        entries: Sequence[Mapping[str, Any]],
    ) -> str | None:
        """Return the whole name of the commit that a list is of; ``None`` where it is not known for sure."""
        if _is_whole(revision):
            return revision
        latest = about.get("LatestCommitter")
        latest = latest if isinstance(latest, dict) else {}
        if _is_whole(latest.get("Id")):
            return str(latest["Id"])
        if not is_commit(short := latest.get("ShortId")):
            return None
        changes = (str(entry.get("Revision")) for entry in entries)
        whole = (name for name in changes if _is_whole(name) and name.startswith(str(short)))
        if found := next(whole, None):
            return found
        last = self._commit_of(repository, revision)  # the last one may only have taken a file away
        return str(last) if _is_whole(last) and str(last).startswith(str(short)) else None

    def _commit_of(self, repository: str, revision: str) -> object:
        url = f"{self._api(repository)}/commits?{urlencode({'Ref': revision, 'PageSize': 1})}"
        with contextlib.suppress(Gguf2OllamaError):
            commits = self._ask(url, repository=repository, revision=revision).get("Commit")
            if isinstance(commits, list) and commits and isinstance(commits[0], dict):
                return commits[0].get("Id")
        return None

    def _detail(self, repository: str) -> Mapping[str, Any]:
        with contextlib.suppress(Gguf2OllamaError):  # nothing depends on it
            return self._ask(self._api(repository), repository=repository, revision="")
        return {}

    # errors

    def _no_revision(self, repository: str, revision: str) -> NotFound:
        known = list(itertools.islice(self._revisions(repository), _SHOWN_REVISIONS))
        hint = f"it has {', '.join(known)}" if known else f"see its branches: {self._page(repository)}/files"
        return NotFound(f"{repository} has no revision {revision!r}", hint=hint)

    def _revisions(self, repository: str) -> Iterator[str]:
        with contextlib.suppress(Gguf2OllamaError):
            data = self._ask(f"{self._api(repository)}/revisions", repository=repository, revision="")
            kinds = data.get("RevisionMap")
            for kind in ("Branches", "Tags"):
                for entry in (kinds.get(kind) if isinstance(kinds, dict) else None) or ():
                    if isinstance(entry, dict) and (name := printable(str(entry.get("Revision") or ""))):
                        yield name

    def _no_repository(self, repository: str) -> NotFound:
        who, hint = "it is private", f"check its name; for a private one, run: {_LOG_IN}"
        if self.settings.token:
            who, hint = "it is private and your token has no access to it", "check its name"
        return NotFound(f"repository {repository} not found at {self.settings.endpoint}, or {who}", hint=hint)

    def _no_access(self, repository: str, status: int) -> ServerRefused:
        page = self._page(repository)
        if self.settings.token:
            return ServerRefused(
                f"{repository} is private or gated, and your token has no access to it or is expired",
                hint=f"request access at {page}, with the account that the token belongs to",
                status=status,
            )
        return ServerRefused(
            f"{repository} is private or gated",
            hint=f"request access at {page}, then run: {_LOG_IN}",
            status=status,
        )

    def _by_status(self, response: Response, content: object, repository: str) -> ServerRefused:
        status, host = response.status, host_of(self.settings.endpoint)
        what, hint = f"{host} refused access to {repository} (HTTP {status})", "try again later"
        if status == _TOO_MANY:
            pause = response.headers.get("retry-after", "")
            what = f"rate limited by {host} (HTTP 429)"
            hint = f"wait {pause} seconds" if pause.isdigit() else "wait a few minutes"
        elif status >= _SERVER_ERROR:
            what = f"{host} returned HTTP {status}"
        elif message := _message(content):
            what = f"{what}: {message}"
        return ServerRefused(what, hint=hint, status=status)


def parse_file(entry: Mapping[str, Any]) -> RepositoryFile | None:
    """Read one entry of a list of files; ``None`` for a folder, and for what no folder here could hold."""
    path, size, sha256 = entry.get("Path"), entry.get("Size"), entry.get("Sha256")
    if entry.get("Type") == "tree" or not isinstance(path, str) or not is_safe_path(path):
        return None
    if not is_size(size):
        return None
    is_digest = is_commit(sha256) and len(str(sha256)) == _SHA256_DIGITS
    return RepositoryFile(path=path, size=size, sha256=str(sha256) if is_digest else None)


def _is_whole(name: object) -> bool:
    return is_commit(name) and len(str(name)) == _COMMIT_DIGITS


def _parse(content: bytes) -> object:
    if content.lstrip()[:1] == b"{":
        with contextlib.suppress(ValueError):
            return parse_json(bytearray(content))
    return None


def _code(content: object) -> int:
    """Return the number of a refusal; 0 for anything else."""
    if not isinstance(content, dict) or "RequestId" not in content or content.get("Success") is True:
        return 0
    code = content.get("Code")
    return code if isinstance(code, int) else 0


def _message(content: object) -> str:
    return printable(str(content.get("Message") or "")) if isinstance(content, dict) else ""
