"""Ask the Hub over its HTTP interface (https://huggingface.co/docs/hub/api)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, ServerRefused
from gguf2ollama.sources.errors import explain_refusal, no_hub
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.settings import HubSettings
from gguf2ollama.sources.site import RETRY_PAUSES, RepositoryInfo, Site, is_commit, is_safe_path, only_names

if TYPE_CHECKING:
    import httpx

__all__ = ["HubSite", "parse_file"]

_MOST_FILES = 100_000
_QUANTIZED = "base_model:quantized:"


class HubSite(Site):
    """A connection to the Hub; a context manager."""

    settings: HubSettings

    def __init__(self, settings: HubSettings, *, retry_pauses: Sequence[float] = RETRY_PAUSES) -> None:
        super().__init__(settings, retry_pauses=retry_pauses)

    def file_url(self, repository: str, path: str, *, commit: str) -> str:
        """Return the address of a file."""
        return f"{self.settings.endpoint}/{repository}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def info(self, repository: str, *, revision: str) -> RepositoryInfo:
        """Ask what a repository is, and which commit a revision names.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.sources.errors`.
        """
        url = f"{self.settings.endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}"
        told, _ = self._get_json(url, repository=repository, revision=revision)
        commit = told.get("sha") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(commit, str) or not is_commit(commit):
            raise self.protocol_error(f"it tells no commit of {repository}")
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
            Gguf2OllamaError: See :mod:`gguf2ollama.sources.errors`.
        """
        root = f"{self.settings.endpoint}/api/models/{repository}/tree/{commit}"
        url: str | None = f"{root}?recursive=true&expand=false"
        found: list[RepositoryFile] = []
        while url is not None:
            told, following = self._get_json(url, repository=repository, revision=commit)
            if not isinstance(told, list) or len(found) + len(told) > _MOST_FILES:
                raise self.protocol_error(f"it lists no files of {repository}")
            found += [file for entry in told if (file := parse_file(entry)) is not None]
            if following is not None and not (told and self._is_own(following)):
                raise self.protocol_error("its list of files goes on nowhere")
            url = following
        return found

    def quantized_repos(self, repository: str) -> list[str]:
        """Name repositories that carry GGUF made from this one, the most downloaded first.

        Raises:
            Gguf2OllamaError: See :mod:`gguf2ollama.sources.errors`.
        """
        asked = [("filter", "gguf"), ("filter", f"{_QUANTIZED}{repository}"), ("sort", "downloads")]
        url = f"{self.settings.endpoint}/api/models?{urlencode([*asked, ('limit', '5')])}"
        told, _ = self._get_json(url, repository=repository)
        if not isinstance(told, list):
            return []
        names = (one.get("id") for one in told if isinstance(one, dict))
        return [name for name in names if isinstance(name, str) and name.isprintable()][:5]

    def refusal(
        self, response: httpx.Response, *, repository: str, revision: str, path: str | None = None
    ) -> Gguf2OllamaError:
        """Make the error for an answer that refuses something."""
        return explain_refusal(
            response.status_code,
            response.headers,
            settings=self.settings,
            repository=repository,
            revision=revision,
            path=path,
        )

    def protocol_error(self, what: str) -> ServerRefused:
        """Make the error for an answer that no Hub gives."""
        return no_hub(self.settings, what)


def parse_file(entry: object) -> RepositoryFile | None:
    """Read one entry of a list of files; ``None`` for a folder, and for what no folder here could hold.

    Raises:
        InvalidInput: Its digest is none.
    """
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    path, size, lfs = entry.get("path"), entry.get("size"), entry.get("lfs")
    if not isinstance(path, str) or not isinstance(size, int) or size < 0 or not is_safe_path(path):
        return None  # nothing that could be put into a folder here
    sha256 = None
    if isinstance(lfs, dict):
        sha256, size = str(lfs.get("oid", "")).removeprefix("sha256:"), lfs.get("size", size)
        if len(sha256) != 64 or not is_commit(sha256) or not isinstance(size, int):  # noqa: PLR2004
            raise InvalidInput(f"the Hub lists {path} with a digest that is none")
    return RepositoryFile(path=path, size=size, sha256=sha256, is_xet=isinstance(entry.get("xetHash"), str))


def _base_models(told: Mapping[str, Any]) -> tuple[str, ...]:
    card, tags = told.get("cardData"), told.get("tags")
    named = card.get("base_model") if isinstance(card, dict) else None
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    if isinstance(tags, list):
        names = [tag.removeprefix(_QUANTIZED) for tag in tags if str(tag).startswith(_QUANTIZED)] + names
    return only_names(names)
