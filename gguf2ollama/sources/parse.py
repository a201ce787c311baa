"""Parse SOURCE with the mirrors of the environment: their pages are pages of the sites."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.names import HubSource, LocalSource, Source, parse_source

__all__ = ["check_source", "parse_user_source", "public_source", "require_repository"]


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
