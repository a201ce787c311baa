"""Find the files of a model wherever its source is: here, in a repository, or at a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.names import LocalSource
from gguf2ollama.sources.local import ModelFiles, find_model, find_projectors
from gguf2ollama.sources.parse import parse_place

if TYPE_CHECKING:
    from gguf2ollama.sources.digest_cache import DigestCache
    from gguf2ollama.sources.remote import SourceSelection

__all__ = ["obtain_model"]


def obtain_model(
    source: str | os.PathLike[str],
    *,
    projectors: Sequence[str | os.PathLike[str]] = (),
    selection: SourceSelection | None = None,
    digests: DigestCache | None = None,
    runs_locally: bool = True,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> ModelFiles:
    """Find the model that a source names, and its projectors.

    Args:
        source: A file, any shard, a folder, a place on the Hub or on ModelScope, or a URL.
        projectors: Projectors on this machine.
        selection: Which of a repository's models.
        digests: What learns the digests of files that are downloaded; ``None`` to look at headers only.
        runs_locally: Whether this machine will run it.
        progress: Called with the bytes that are downloaded.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: As :func:`gguf2ollama.sources.local.find_model` does, and what its site refuses.
    """
    parsed = parse_place(source)
    if isinstance(parsed, LocalSource):
        if selection is not None and (selection.quant or selection.file or selection.revision):
            raise UsageProblem(
                f"{source} is on this machine: --quant, --file and --revision are for repositories",
                hint="name the file itself",
            )
        return find_model(parsed.path, projectors=projectors)
    # for remote sources alone
    from gguf2ollama.sources.fetch_model import download_model  # noqa: PLC0415
    from gguf2ollama.sources.remote import SourceSelection, look_at  # noqa: PLC0415

    named = find_projectors(projectors)
    selection = selection or SourceSelection()
    if digests is None:
        return look_at(parsed, selection=selection, projectors=named, runs_locally=runs_locally)
    return download_model(
        parsed,
        selection=selection,
        digests=digests,
        projectors=named,
        runs_locally=runs_locally,
        progress=progress,
        notify=notify,
    )
