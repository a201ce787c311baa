"""Find the files of a model wherever its source is: here, on the Hub, or at a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import UsageProblem
from gguf2ollama.progress import Progress, ignore
from gguf2ollama.refs import HubSource, LocalSource, UrlSource, parse_source
from gguf2ollama.usecases.source import ModelFiles, find_model, find_projectors

if TYPE_CHECKING:
    from gguf2ollama.usecases.digest_cache import DigestCache
    from gguf2ollama.usecases.remote_source import HubWishes

__all__ = ["obtain_model"]


def obtain_model(
    source: str | os.PathLike[str],
    *,
    projectors: Sequence[str | os.PathLike[str]] = (),
    wishes: HubWishes | None = None,
    digests: DigestCache | None = None,
    is_here: bool = True,
    progress: Progress = ignore,
    tell: Callable[[str], None] = ignore,
) -> ModelFiles:
    """Find the model that a source names, and its projectors.

    Args:
        source: A file, any shard, a folder, a place on the Hub, or a URL.
        projectors: Projectors on this machine.
        wishes: Which of a repository's models.
        digests: What learns the digests of files that are downloaded; ``None`` to look at headers only.
        is_here: Whether this machine will run it.
        progress: Told the bytes that are downloaded.
        tell: Told what is being done.

    Raises:
        Gguf2OllamaError: As :func:`gguf2ollama.usecases.source.find_model` does, and what the Hub refuses.
    """
    parsed = _parse(source)
    if isinstance(parsed, LocalSource):
        if wishes is not None and (wishes.quant or wishes.file or wishes.revision):
            raise UsageProblem(
                f"{source} is on this machine: --quant, --file and --revision are for the Hub",
                hint="name the file itself",
            )
        return find_model(parsed.path, projectors=projectors)
    # for remote sources alone
    from gguf2ollama.usecases.remote_download import download_model  # noqa: PLC0415
    from gguf2ollama.usecases.remote_source import HubWishes, look_at_hub, look_at_url  # noqa: PLC0415

    named = find_projectors(projectors)
    wishes = wishes or HubWishes()
    if isinstance(parsed, UrlSource):
        if digests is not None:
            raise UsageProblem(
                f"{parsed.url.partition('?')[0]} is not on the Hub: no digest tells whether it came whole",
                hint="download it with `curl -LO`, then name the file",
            )
        return look_at_url(parsed, projectors=named)
    if digests is None:
        return look_at_hub(parsed, wishes=wishes, projectors=named, is_here=is_here)
    return download_model(
        parsed,
        wishes=wishes,
        digests=digests,
        projectors=named,
        is_here=is_here,
        progress=progress,
        tell=tell,
    )


def _parse(source: str | os.PathLike[str]) -> LocalSource | HubSource | UrlSource:
    if not isinstance(source, str):
        return LocalSource(path=Path(source))
    return parse_source(source, hub_endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None)
