"""Ask ModelScope over its HTTP interface, of which its own library is the description.

Read in modelscope_hub 0.5.1 (``_legacy_api.py``, ``_download.py``), which modelscope 1.40 uses:

- ``GET /api/v1/models/OWNER/REPO/repo/files?Revision=…&Recursive=True`` lists files, each with a sha256,
  whether in LFS or not; it ends without a word after 3,000, and then each folder is asked for (``Root``).
- ``GET /api/v1/models/OWNER/REPO/repo?Revision=…&FilePath=…`` gives a file: one in LFS by a redirect to a
  signed address that knows ranges, any other as it is, whatever range was asked for.
- Answers in JSON are ``{"Code": 200, "Success": true, "Data": …}``; the token goes as ``Authorization:
  Bearer`` and as the cookie ``m_session_id``.

Not in the library, but seen by others in answers of the site: a refusal is a 404, told apart by ``Code``; the
list of a revision that is not there may come with status 200 and without files; ``LatestCommitter`` has the
short name of the commit, of which ``GET …/commits?Ref=…&PageSize=1`` tells the whole. None of these is relied
on alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.modelscope_settings import ModelScopeSettings
from gguf2ollama.sources.site import RETRY_PAUSES, RepositoryInfo, Site, is_commit, is_safe_path, only_names

if TYPE_CHECKING:
    import httpx

__all__ = ["ModelScopeSite", "parse_file"]

_MOST_ENTRIES = 3000  # of one list
_MOST_FILES = 100_000
_MOST_LISTS = 1000
_MOST_TOLD = 64 << 10  # bytes of a refusal
_SHOWN = 200
_COMMIT_DIGITS, _SHA256_DIGITS = 40, 64
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_NO_TREE, _NO_FILE, _NO_ACCESS = 10990101004, 10990101007, 10010200001
_TOKEN_REFUSED = 10010103009
_LOG_IN = "log in with `modelscope login`, or set MODELSCOPE_API_TOKEN"


class ModelScopeSite(Site):
    """A connection to ModelScope; a context manager."""

    settings: ModelScopeSettings

    def __init__(self, settings: ModelScopeSettings, *, retry_pauses: Sequence[float] = RETRY_PAUSES) -> None:
        super().__init__(settings, retry_pauses=retry_pauses)
        self._listed: dict[tuple[str, str], list[RepositoryFile]] = {}

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the address of a file."""
        return f"{self._api(repository)}/repo?{urlencode({'Revision': commit, 'FilePath': path})}"

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names.

        Where ModelScope does not tell the commit, the revision stands for it: the digests of the files still
        hold what is fetched to what was listed.

        Raises:
            Gguf2OllamaError: There is no such repository or revision, or ModelScope refuses.
        """
        told, entries = self._list(repository, revision=revision)
        if entries is None:
            raise self._no_revision(repository, revision)
        commit = self._commit(repository, revision, told, entries) or revision
        self._listed[repository, commit] = [file for one in entries if (file := parse_file(one)) is not None]
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
        return [file for one in entries if (file := parse_file(one)) is not None]

    def read_file(self, repository: str, path: str, *, revision: str, most_bytes: int) -> bytes:
        """Return the bytes of a small file; one that is not there may be told with status 200."""
        content = super().read_file(repository, path, revision=revision, most_bytes=most_bytes)
        if _code(_parse(content)):
            raise NotFound(f"{repository} has no file {path!r} at {revision}")
        return content

    def refusal(
        self, response: httpx.Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Make the error for an answer that refuses something."""
        told = _parse(_body(response))
        status, code = response.status_code, _code(told)
        if code == _NO_FILE:
            hint = f"{self._page(repository)}/files lists them"
            return NotFound(f"{repository} has no file {path!r} at {revision}", hint=hint)
        if code == _NO_TREE:
            return self._no_revision(repository, revision)
        if code == _TOKEN_REFUSED or (status == _UNAUTHORIZED and self.settings.token):
            return ServerRefused(
                f"{self.settings.endpoint} does not take your token: it is wrong, or its time is over",
                hint=f"make a new one at {self.settings.endpoint}/my/myaccesstoken, then {_LOG_IN}",
                status=status,
            )
        if code == _NO_ACCESS or status in {_UNAUTHORIZED, _FORBIDDEN}:
            return self._no_access(repository, status)
        if status == _NOT_FOUND:
            return self._no_repository(repository)
        return self._by_status(response, told, repository)

    def protocol_error(self, what: str) -> ServerRefused:
        """Make the error for an answer that ModelScope never gives."""
        return ServerRefused(
            f"{self.settings.endpoint} does not answer as ModelScope does: {what}",
            hint="check MODELSCOPE_ENDPOINT, and whether the network wants you to sign in first",
        )

    # what is asked

    def _api(self, repository: str) -> str:
        return f"{self.settings.endpoint}/api/v1/models/{repository}"

    def _page(self, repository: str) -> str:
        return f"{self.settings.endpoint}/models/{repository}"

    def _ask(self, url: str, *, repository: str, revision: str) -> dict[str, Any]:
        """Return what an answer holds in ``Data``."""
        told, _ = self._get_json(url, repository=repository, revision=revision)
        data = told.get("Data") if isinstance(told, dict) else None
        if not isinstance(told, dict) or told.get("Success") is False or not isinstance(data, dict):
            raise self.protocol_error(_message(told) or f"it tells nothing of {repository}")
        return data

    def _list(
        self, repository: str, *, revision: str
    ) -> tuple[Mapping[str, Any], list[Mapping[str, Any]] | None]:
        """Return what one list tells besides, and all entries; ``None`` where there is no such revision."""
        first, entries = self._list_once(repository, revision=revision, root="", is_recursive=True)
        if entries is None or len(entries) < _MOST_ENTRIES:
            return first, entries
        found, roots, count = [], [""], 0
        while roots:
            root, count = roots.pop(), count + 1
            _, below = self._list_once(repository, revision=revision, root=root, is_recursive=False)
            if below is None or len(below) >= _MOST_ENTRIES or count > _MOST_LISTS:
                raise self.protocol_error(f"its list of the files of {repository} is cut off")
            found += [one for one in below if one.get("Type") != "tree"]
            roots += [str(one["Path"]) for one in below if one.get("Type") == "tree" and one.get("Path")]
            if len(found) > _MOST_FILES:
                raise self.protocol_error(f"its list of the files of {repository} has no end")
        return first, found

    def _list_once(
        self, repository: str, *, revision: str, root: str, is_recursive: bool
    ) -> tuple[dict[str, Any], list[Mapping[str, Any]] | None]:
        asked = {"Revision": revision, "Recursive": str(is_recursive)} | ({"Root": root} if root else {})
        url = f"{self._api(repository)}/repo/files?{urlencode(asked)}"
        data = self._ask(url, repository=repository, revision=revision)
        files = data.get("Files")
        if files is None:
            return data, None
        if not isinstance(files, list):
            raise self.protocol_error(f"it lists no files of {repository}")
        return data, [one for one in files if isinstance(one, dict)]

    def _commit(
        self,
        repository: str,
        revision: str,
        told: Mapping[str, Any],
        entries: Sequence[Mapping[str, Any]],
    ) -> str | None:
        """Find the whole name of the commit that a list is of; ``None`` where nothing tells it surely."""
        if _is_whole(revision):
            return revision
        latest = told.get("LatestCommitter")
        latest = latest if isinstance(latest, dict) else {}
        if _is_whole(latest.get("Id")):
            return str(latest["Id"])
        if not is_commit(short := latest.get("ShortId")):
            return None
        changes = (str(one.get("Revision")) for one in entries)
        if found := next((one for one in changes if _is_whole(one) and one.startswith(str(short))), None):
            return found
        asked = self._commit_of(repository, revision)  # the last one may have taken a file away, and no more
        return str(asked) if _is_whole(asked) and str(asked).startswith(str(short)) else None

    def _commit_of(self, repository: str, revision: str) -> object:
        url = f"{self._api(repository)}/commits?{urlencode({'Ref': revision, 'PageSize': 1})}"
        with contextlib.suppress(Gguf2OllamaError):
            commits = self._ask(url, repository=repository, revision=revision).get("Commit")
            if isinstance(commits, list) and commits and isinstance(commits[0], dict):
                return commits[0].get("Id")
        return None

    def _detail(self, repository: str) -> Mapping[str, Any]:
        with contextlib.suppress(Gguf2OllamaError):  # what is missing of it is not told, and no more
            return self._ask(self._api(repository), repository=repository, revision="")
        return {}

    # what is told

    def _no_revision(self, repository: str, revision: str) -> NotFound:
        known = list(self._revisions(repository))
        hint = f"it has {', '.join(known)}" if known else f"{self._page(repository)}/files shows its branches"
        return NotFound(f"{repository} has no revision {revision!r}", hint=hint)

    def _revisions(self, repository: str) -> Iterator[str]:
        with contextlib.suppress(Gguf2OllamaError):
            data = self._ask(f"{self._api(repository)}/revisions", repository=repository, revision="")
            told = data.get("RevisionMap")
            for kind in ("Branches", "Tags"):
                for one in (told.get(kind) if isinstance(told, dict) else None) or ():
                    if isinstance(one, dict) and (name := _printable(one.get("Revision"))):
                        yield name

    def _no_repository(self, repository: str) -> NotFound:
        who, hint = "it is private", f"check its name; for a private one, {_LOG_IN}"
        if self.settings.token:
            who, hint = "it is private and your token may not see it", "check its name"
        return NotFound(
            f"there is no repository {repository} at {self.settings.endpoint}, or {who}", hint=hint
        )

    def _no_access(self, repository: str, status: int) -> ServerRefused:
        page = self._page(repository)
        if self.settings.token:
            hint = f"ask for access at {page}; the token must belong to who has it"
            return ServerRefused(
                f"{repository} is private or gated, and your token has no access to it, or its time is over",
                hint=hint,
                status=status,
            )
        return ServerRefused(
            f"{repository} is private, or gated: its files are for those who were given access",
            hint=f"ask for it at {page}, then {_LOG_IN}",
            status=status,
        )

    def _by_status(self, response: httpx.Response, told: object, repository: str) -> ServerRefused:
        status = response.status_code
        what, hint = f"{self.settings.endpoint} refused {repository} with status {status}", "try again later"
        if status == _TOO_MANY:
            pause = response.headers.get("retry-after", "")
            what = f"{self.settings.endpoint} was asked too often"
            hint = f"wait {pause} seconds" if pause.isdigit() else "wait some minutes"
        elif status >= _SERVER_ERROR:
            what = f"{self.settings.endpoint} has a fault of its own (status {status})"
        elif message := _message(told):
            what = f"{what}: {message}"
        return ServerRefused(what, hint=hint, status=status)


def parse_file(entry: Mapping[str, Any]) -> RepositoryFile | None:
    """Read one entry of a list of files; ``None`` for a folder, and for what no folder here could hold."""
    path, size, sha256 = entry.get("Path"), entry.get("Size"), entry.get("Sha256")
    if entry.get("Type") == "tree" or not isinstance(path, str) or not is_safe_path(path):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return None
    is_digest = is_commit(sha256) and len(str(sha256)) == _SHA256_DIGITS
    return RepositoryFile(path=path, size=size, sha256=str(sha256) if is_digest else None)


def _is_whole(name: object) -> bool:
    return is_commit(name) and len(str(name)) == _COMMIT_DIGITS


def _body(response: httpx.Response) -> bytes:
    """Return the body of a refusal, or its beginning; nothing where it does not come."""
    import httpx  # noqa: PLC0415 - imported with the connection

    content = bytearray()
    with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
        for piece in response.iter_bytes():
            content += piece
            if len(content) > _MOST_TOLD:
                break
    return bytes(content)


def _parse(content: bytes) -> object:
    if content.lstrip()[:1] == b"{":
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(content)
    return None


def _code(told: object) -> int:
    """Return the number of a refusal; 0 for anything else."""
    if not isinstance(told, dict) or "RequestId" not in told or told.get("Success") is True:
        return 0
    code = told.get("Code")
    return code if isinstance(code, int) else 0


def _message(told: object) -> str:
    return _printable(told.get("Message")) if isinstance(told, dict) else ""


def _printable(text: object) -> str:
    return "".join(char for char in str(text or "") if char.isprintable())[:_SHOWN]
