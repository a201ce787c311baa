"""Download a model."""

from __future__ import annotations

import os
from collections.abc import Callable

from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.sources.fetch_model import DownloadedModel, download_model
from gguf2ollama.sources.model import SourceSelection

__all__ = ["download"]


def download(
    source: str,
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> DownloadedModel:
    """Download a model into the cache that all tools of its site share, or into a folder.

    Interrupted downloads are resumed, and existing files are not downloaded again.

    Args:
        source: A repository, a page of one, or the URL of a file; see :func:`gguf2ollama.inspect`.
        quant: Of a repository: the quantization, in any case.
        file: Of a repository: a file, any shard of one, or a folder.
        revision: Of a repository: a branch, a tag or a commit.
        folder: Where to write the files, under their names in the repository; the cache when not given.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        NotEnoughSpace: The disk has too little space.
        NotFound: There is no such repository, revision or model.
        ServerProblem: The site cannot be reached, or refuses.
        UsageProblem: The source is on this machine, or has several models.
        VerificationFailed: A file had another digest than its site reports, after two downloads.
    """
    hardware = find_hardware()
    return download_model(
        source,
        selection=SourceSelection(quant=quant, file=file, revision=revision),
        folder=folder,
        room=hardware.room if hardware is not None else None,
        digests=DigestCache(),
        progress=progress,
        notify=notify,
    )
