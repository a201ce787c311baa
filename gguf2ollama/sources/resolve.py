"""Find the model that a source names, wherever that is: its headers, and later its files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.ggufio.shard_files import assemble
from gguf2ollama.names import HubSource, LocalSource
from gguf2ollama.sources.drafts import require_draft
from gguf2ollama.sources.local import find_model, find_projectors
from gguf2ollama.sources.model import KnownDigests, ModelFiles, SourceSelection
from gguf2ollama.sources.parse import parse_user_source, require_no_server_model
from gguf2ollama.sources.projectors import require_one_projector

if TYPE_CHECKING:
    from gguf2ollama.memory.hardware import MemoryRoom
    from gguf2ollama.sources.remote import RemoteModel

__all__ = ["ModelRef", "fetch", "resolve"]


_OF_SENTENCE_TRANSFORMERS = ("1_Pooling", "config_sentence_transformers.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model that a source names; only headers were read.

    Attributes:
        files: Its files: headers, reported digests, recommendations.
        remote: The same files at their site; ``None`` if they are on this machine.
        folder: Where a fetch writes; ``None`` if there is nothing to fetch.
    """

    files: ModelFiles
    remote: RemoteModel | None = None
    folder: Path | None = None


def resolve(
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    projectors: Sequence[str | os.PathLike[str]] = (),
    takes_projector: bool = True,
    draft: str | os.PathLike[str] | None = None,
    takes_draft: bool = True,
    version: str | None = None,
    room: MemoryRoom | None,
    digests: KnownDigests,
    notify: Callable[[str], None] = ignore,
) -> ModelRef:
    """Find the model that a source names, and its projectors; only headers are read.

    Args:
        source: A file, any shard, a folder, a repository on Hugging Face or ModelScope, or a URL.
        selection: Which of a repository's models.
        projectors: Projectors: files on this machine, else files of the repository.
        takes_projector: Whether, without them, the projector beside the model is used.
        draft: A draft: a file on this machine, else a file of the repository.
        takes_draft: Whether, without it, the draft beside the model is used.
        version: The version of Ollama that will run it; ``None`` for the newest.
        room: The memory for models of the machine that will run it, to choose a quantization by; ``None``
            if not known.
        digests: The known digests of files on this machine.
        notify: Called with a line about what was found.

    Raises:
        Gguf2OllamaError: As :func:`gguf2ollama.sources.local.find_model` does, and if the site refuses.
    """
    parsed = require_no_server_model(parse_user_source(source))
    if isinstance(parsed, LocalSource):
        if selection:
            raise UsageProblem(
                f"{source} is on this machine: --quant, --file and --revision are for repositories",
                hint="give the file itself",
            )
        found = find_model(
            parsed.path,
            projectors=projectors,
            takes_projector=takes_projector,
            draft=draft,
            takes_draft=takes_draft,
            version=version,
        )
        for note in found.notes:
            notify(note)
        folder = found.model.shards[0].path.parent
        if any((folder / name).exists() for name in _OF_SENTENCE_TRANSFORMERS):
            from gguf2ollama.sources.sentence_transformers import read_published_beside  # noqa: PLC0415 - rare

            found = dataclasses.replace(found, published=read_published_beside(folder))
        if found.pieces is None:
            return ModelRef(files=found)
        notify(f"{found.pieces.whole} in {found.pieces.folder} is cut into {len(found.pieces.paths)} pieces")
        return ModelRef(files=found, folder=found.pieces.joined_folder)
    # for remote sources alone
    from gguf2ollama.sources.remote import open_remote, read_headers  # noqa: PLC0415

    in_repository = [
        str(path) for path in projectors if isinstance(parsed, HubSource) and not Path(path).exists()
    ]
    named = find_projectors([path for path in projectors if str(path) not in in_repository])
    is_draft_here = draft is not None and (not isinstance(parsed, HubSource) or Path(draft).exists())
    try:
        with open_remote(
            parsed,
            selection=selection,
            room=room,
            takes_projector=takes_projector and not named,
            projectors=in_repository,
            draft=None if draft is None or is_draft_here else str(draft),
            takes_draft=takes_draft and draft is None,
            version=version,
            notify=notify,
        ) as remote:
            for line in (remote.model.found, *remote.model.notes):
                notify(line)
            files = read_headers(remote, projectors=named, digests=digests)
            require_one_projector(files.projectors, model=files.model.first)
            if draft is not None:
                drafts = (Shard.open(draft),) if is_draft_here else files.drafts
                checked = tuple(
                    require_draft(shard, model=files.model.first, version=version) for shard in drafts
                )
                files = dataclasses.replace(files, drafts=checked)
            return ModelRef(files=files, remote=remote.model, folder=remote.cached.root)
    except NotFound as error:
        if str(source).lower().endswith(".gguf") and "://" not in str(source):  # it may be meant as a path
            raise NotFound(f"no such file, and {error.message}", hint=error.hint) from error
        raise


def fetch(
    ref: ModelRef,
    *,
    digests: KnownDigests,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> ModelFiles:
    """Download the files of a model, or join its pieces: exactly those whose headers were read.

    Args:
        ref: The model.
        digests: The known digests of files; those of downloads are added.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about each step.

    Raises:
        FileChanged: A file at a URL, or a piece, changed since its header was read.
        Gguf2OllamaError: As :func:`gguf2ollama.sources.fetch_model.fetch_model` does.
    """
    if (pieces := ref.files.pieces) is not None:
        joined = pieces.join(progress=progress)
        notify(f"Joined {len(pieces.paths)} pieces into {joined}")
        model = ShardSet(shards=assemble([Shard.open(joined)]))
        return dataclasses.replace(ref.files, model=model, are_local=True, joined=joined)
    if ref.remote is None:
        return ref.files
    # for remote sources alone
    from gguf2ollama.sources.fetch_model import fetch_model  # noqa: PLC0415

    files = fetch_model(ref.remote, ref.files, digests=digests, progress=progress, notify=notify)
    return dataclasses.replace(files, published=ref.files.published)
