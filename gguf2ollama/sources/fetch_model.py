"""Download a model, and store the digests of its files."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Callable
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.names import LocalSource
from gguf2ollama.sources.downloads.download import Download, Downloaded
from gguf2ollama.sources.downloads.joined import join_pieces
from gguf2ollama.sources.model import KnownDigests, ModelFiles, SourceSelection
from gguf2ollama.sources.parse import parse_user_source, require_no_server_model
from gguf2ollama.sources.projectors import require_projector
from gguf2ollama.sources.remote import Remote, RemoteModel, open_remote, reopen_remote

__all__ = ["DownloadedModel", "download_model", "fetch_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadedModel:
    """A downloaded model.

    Attributes:
        model: The model at its site.
        files: Its files on this machine: the model's, then projectors, then drafts.
    """

    model: RemoteModel
    files: tuple[Downloaded, ...]

    @property
    def bytes_fetched(self) -> int:
        """Bytes that were downloaded; less than the files have if some were cached."""
        return sum(file.bytes_fetched for file in self.files)


def download_model(
    source: str,
    *,
    selection: SourceSelection,
    folder: str | os.PathLike[str] | None,
    room: MemoryRoom | None,
    digests: KnownDigests,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> DownloadedModel:
    """Download a model into the cache that all tools of its site share, or into a folder.

    Args:
        source: ``owner/repo``, ``owner/repo:QUANT``, ``hf://owner/repo/path@revision``, the same with
            ``ms://``, a page of one, or the URL of a file.
        selection: Which of the models there.
        folder: Where to write the files, under their names in the repository; the cache when not given.
        room: The memory for models of the machine that will run it, to choose a quantization by.
        digests: The known digests of files; those of downloads are added.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        NotEnoughSpace: The disk has too little space.
        NotFound: There is no such repository, revision or model.
        ServerProblem: The site cannot be reached, or refuses.
        UsageProblem: The source is on this machine, or has several models.
        VerificationFailed: A file had another digest than its site reports, after two downloads.
    """
    parsed = require_no_server_model(parse_user_source(source))
    if isinstance(parsed, LocalSource):
        raise UsageProblem(
            f"{source} is on this machine: nothing to download",
            hint="give owner/repo, ms://owner/repo or https://…",
        )
    with open_remote(parsed, selection=selection, room=room, notify=notify) as remote:
        for line in (remote.model.found, *remote.model.notes, *remote.model.left_out):
            notify(line)
        return _download(
            remote,
            folder=None if folder is None else Path(folder),
            digests=digests,
            progress=progress,
            notify=notify,
        )


def fetch_model(
    model: RemoteModel,
    headers: ModelFiles,
    *,
    digests: KnownDigests,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> ModelFiles:
    """Download the files of a model, whose headers were read at their site, into the cache.

    Args:
        model: The model at its site.
        headers: Its headers; projectors and drafts on this machine stay.
        digests: The known digests of files; those of downloads are added.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        FileChanged: A file changed since its header was read.
        InvalidGguf: A file is not a GGUF, or is broken.
        Gguf2OllamaError: As :func:`download_model` does.
    """
    with reopen_remote(model, notify=notify) as remote:
        done = _download(remote, folder=None, digests=digests, progress=progress, notify=notify)
    variant = model.choice.variant
    count = len(variant.files)
    paths = [file.path for file in done.files[:count]]
    joined: Path | None = None
    if variant.is_cut:
        name = f"{posixpath.basename(variant.name)}.gguf"
        identity = [(file.path, file.size, file.sha256 or file.git_oid) for file in variant.files]
        joined = join_pieces(name, paths, identity=identity, progress=progress)
        paths = [joined]
        notify(f"Joined {count} pieces into {joined}")
    found = ShardSet.from_paths(paths)
    others = [Shard.open(file.path) for file in done.files[count:]]
    projectors = tuple(map(require_projector, others[: len(model.projectors)]))
    drafts = tuple(others[len(model.projectors) :]) or headers.drafts
    here = {shard.path: shard.gguf for shard in (*found.shards, *others)}
    for file in done.files:
        if file.path in here:
            _learn(digests, file, head_bytes=here[file.path].data_offset)
    digests.save()
    if any(file.sha256 is None for file in model.files):
        _require_same(found, headers.model)
    origin = headers.origin
    assert origin is not None  # noqa: S101 - it was found at a site
    return dataclasses.replace(
        headers,
        model=found,
        projectors=(*headers.projectors[: len(headers.projectors) - len(projectors)], *projectors),
        drafts=drafts,
        origin=dataclasses.replace(
            origin,
            bytes_fetched=origin.bytes_fetched + done.bytes_fetched,
            downloaded=tuple(file.path for file in done.files if file.bytes_fetched),
        ),
        are_local=True,
        joined=joined,
    )


def _require_same(found: ShardSet, planned: ShardSet) -> None:
    """Check that downloaded files have the headers that were read.

    A URL may serve another file by now; files of a repository have a digest, which was checked.
    """
    for shard, before in zip(found.shards, planned.shards, strict=True):
        now, then = shard.gguf, before.gguf
        is_same = now.data_offset == then.data_offset and shard.size == before.size
        if not is_same or now.tensors != then.tensors:
            raise FileChanged(f"{shard.path.name} changed at its site while it was being read")


def _download(
    remote: Remote,
    *,
    folder: Path | None,
    digests: KnownDigests,
    progress: Progress,
    notify: Callable[[str], None],
) -> DownloadedModel:
    model, info = remote.model, remote.model.repository.info
    work = Download(
        site=remote.site,
        cached=remote.cached,
        repository=info.name,
        commit=info.commit,
        folder=folder,
        known_digest=digests.of_file,
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


def _learn(digests: KnownDigests, file: Downloaded, *, head_bytes: int = 0) -> None:
    if file.sha256 is not None:
        digests.learn_file(file.path, file.sha256, head_bytes=head_bytes)
