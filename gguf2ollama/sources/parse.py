"""Parse SOURCE with the mirrors of the environment: their pages are pages of the sites."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.names import HubSource, LocalSource, ModelName, OllamaSource, Source, UrlSource, parse_source

if TYPE_CHECKING:
    from gguf2ollama.sources.model import SourceSelection

__all__ = [
    "check_source",
    "parse_user_source",
    "public_source",
    "require_no_server_model",
    "require_repository",
    "server_model",
]


def parse_user_source(source: str | os.PathLike[str]) -> Source:
    """Return what a source names.

    Raises:
        UsageProblem: It is invalid.
    """
    if not isinstance(source, str):
        return LocalSource(path=Path(source))
    return parse_source(
        source, hub_endpoint=_endpoint("HF_ENDPOINT"), modelscope_endpoint=_endpoint("MODELSCOPE_ENDPOINT")
    )


def check_source(source: str | os.PathLike[str]) -> None:
    """Check that a source is valid, and that a local one exists; no site is asked.

    Raises:
        NotFound: There is no such file or folder.
        UsageProblem: It is invalid.
    """
    parsed = parse_user_source(source)
    if isinstance(parsed, LocalSource):
        with disk_errors(parsed.path):
            parsed.path.stat()


def server_model(
    source: str | os.PathLike[str], *, selection: SourceSelection | None = None
) -> ModelName | None:
    """Return the name of the model that a source names on a server; ``None`` for another source.

    Raises:
        UsageProblem: It names one, and there are options that select a model of a repository.
    """
    parsed = parse_user_source(source)
    if not isinstance(parsed, OllamaSource):
        return None
    if selection:
        raise UsageProblem(
            f"{parsed} is one model: --quant, --file and --revision are for repositories",
            hint="leave them out",
        )
    return parsed.name


def require_no_server_model(source: Source) -> LocalSource | HubSource | UrlSource:
    """Return a source that is not a model of a server.

    Raises:
        UsageProblem: It is one.
    """
    if isinstance(source, OllamaSource):
        raise UsageProblem(
            f"{source} is a model of a server, which only build, inspect, modelfile and verify take",
            hint="give the GGUF: a file, a repository or a URL",
        )
    return source


def require_repository(source: str | os.PathLike[str]) -> HubSource:
    """Return the repository that a source names.

    Raises:
        UsageProblem: It is not a repository.
    """
    parsed = parse_user_source(source)
    if not isinstance(parsed, HubSource):
        raise UsageProblem(
            f"{public_source(source)}: not a repository on Hugging Face or ModelScope",
            hint="use owner/repo or ms://owner/repo",
        )
    return parsed


def public_source(source: str | os.PathLike[str]) -> str:
    """Return a source as a message may show it: the query of a URL may be a signature."""
    return str(source).partition("?")[0] if "://" in str(source) else str(source)


def _endpoint(name: str) -> str | None:
    return os.environ.get(name, "").rstrip("/") or None
