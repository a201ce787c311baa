"""Read SOURCE as the environment has it: the pages of mirrors are pages of their sites."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import HubSource, LocalSource, Source, parse_source

__all__ = ["parse_user_source", "public_source", "require_repository"]


def parse_user_source(source: str | os.PathLike[str]) -> Source:
    """Return what a source names.

    Raises:
        UsageProblem: It names nothing.
    """
    if not isinstance(source, str):
        return LocalSource(path=Path(source))
    return parse_source(
        source, hub_endpoint=_endpoint("HF_ENDPOINT"), modelscope_endpoint=_endpoint("MODELSCOPE_ENDPOINT")
    )


def require_repository(source: str | os.PathLike[str]) -> HubSource:
    """Return which repository a source names.

    Raises:
        UsageProblem: It names none.
    """
    parsed = parse_user_source(source)
    if not isinstance(parsed, HubSource):
        raise UsageProblem(
            f"{public_source(source)} is no repository on the Hub or on ModelScope",
            hint="give owner/repo or ms://owner/repo",
        )
    return parsed


def public_source(source: str | os.PathLike[str]) -> str:
    """Return a source as a message may show it: the query of a URL may be a signature."""
    return str(source).partition("?")[0] if "://" in str(source) else str(source)


def _endpoint(name: str) -> str | None:
    return os.environ.get(name, "").rstrip("/") or None
