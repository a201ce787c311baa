"""Download a model, and hand on the digests that were found on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.names import HubSource, LocalSource, UrlSource
from gguf2ollama.oci import Digest
from gguf2ollama.sources.digest_cache import DigestCache
from gguf2ollama.sources.download import Download, Downloaded
from gguf2ollama.sources.local import ModelFiles, require_projector
from gguf2ollama.sources.parse import parse_place
from gguf2ollama.sources.remote import Remote, RemoteModel, SourceSelection, open_remote

__all__ = ["DownloadedModel", "download", "download_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadedModel:
    """A model from elsewhere that is here.

    Attributes:
        model: What it is there.
        files: Its files here, the model's first, then projectors.
    """

    model: RemoteModel
    files: tuple[Downloaded, ...]

    @property
    def bytes_fetched(self) -> int:
        """Bytes that came over the network; less than the files have where some were here."""
        return sum(file.bytes_fetched for file in self.files)


def download(
    source: str,
    *,
    selection: SourceSelection | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> DownloadedModel:
    """Download a model into the cache that all tools of its site share, or into a folder.

    Args:
        source: ``owner/repo``, ``owner/repo:QUANT``, ``hf://owner/repo/path@revision``, the same with ``ms://``,
            a page of one, or the URL of a file.
        selection: Which of the models there.
        folder: Where the files are put, under their names in the repository; the cache when not given.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        NotEnoughSpace: The disk is too small.
        NotFound: There is no such repository, revision or model.
        ServerProblem: The site cannot be asked, or refuses.
        UsageProblem: The source is on this machine, or names several models.
        VerificationFailed: A file came twice with another digest than its site tells.
    """
    parsed = parse_place(source)
    if isinstance(parsed, LocalSource):
        raise UsageProblem(
            f"{source} is no place on the Hub, and no URL",
            hint="give owner/repo, ms://owner/repo or https://…",
        )
    with open_remote(parsed, selection=selection or SourceSelection()) as remote:
        return _download(
            remote,
            folder=None if folder is None else Path(folder),
            digests=DigestCache(),
            progress=progress,
            notify=notify,
        )


def download_model(
    source: HubSource | UrlSource,
    *,
    selection: SourceSelection,
    digests: DigestCache,
    projectors: Sequence[Shard] = (),
    runs_locally: bool = True,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> ModelFiles:
    """Download a model into the cache, and read its headers.

    Args:
        source: Where it is.
        selection: Which of the models there.
        digests: What is known of files, and learns what is found.
        projectors: Projectors on this machine, instead of the one in the repository.
        runs_locally: Whether this machine will run it.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        Gguf2OllamaError: As :func:`download` does.
    """
    with open_remote(
        source, selection=selection, runs_locally=runs_locally, takes_projector=not projectors
    ) as remote:
        done = _download(remote, folder=None, digests=digests, progress=progress, notify=notify)
        count = len(remote.model.choice.variant.files)
        found = ShardSet.from_paths([file.path for file in done.files[:count]])
        beside = tuple(require_projector(Shard.open(file.path)) for file in done.files[count:])
        headers = {shard.path: shard.gguf for shard in (*found.shards, *beside)}
        for file in done.files:
            _learn(digests, file, head_bytes=headers[file.path].data_offset)
        digests.save()
        return ModelFiles(
            model=found,
            projectors=tuple(projectors) or beside,
            origin=remote.model.origin(bytes_fetched=done.bytes_fetched),
            published=remote.published(found.shards[0]),
        )


def _download(
    remote: Remote,
    *,
    folder: Path | None,
    digests: DigestCache,
    progress: Progress,
    notify: Callable[[str], None],
) -> DownloadedModel:
    model, info = remote.model, remote.model.repository.info
    names = ", ".join(file.path for file in model.files)
    n_bytes = sum(file.size for file in model.files)
    notify(f"{info.name}: {names}, {n_bytes:,} bytes ({model.choice.reason})")
    work = Download(
        site=remote.site,
        cached=remote.cached,
        repository=info.name,
        commit=info.commit,
        folder=folder,
        known_digest=lambda path: _known(digests, path),
        progress=progress,
        notify=notify,
    )
    files = tuple(work.run(model.files))
    for file in files:
        _learn(digests, file)
    digests.save()
    if remote.site is not None and folder is None:
        remote.cached.note_revision(model.repository.revision, info.commit)
    return DownloadedModel(model=model, files=files)


def _learn(digests: DigestCache, file: Downloaded, *, head_bytes: int = 0) -> None:
    if file.sha256 is not None:
        digests.learn(str(file.path.resolve()), Digest(file.sha256), head_bytes=head_bytes)


def _known(digests: DigestCache, path: Path) -> str | None:
    found = digests.get((str(path.resolve()),))
    return found.hex if found else None
