"""Find the files of a model on this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, Shard, ShardSet, role_of
from gguf2ollama.ggufio.shard_files import assemble, gguf_paths
from gguf2ollama.names import LocalSource, parse_source
from gguf2ollama.sources.adapters import adapter_refusal
from gguf2ollama.sources.beside import Beside, is_part_of_above
from gguf2ollama.sources.drafts import require_draft
from gguf2ollama.sources.local_pieces import find_pieces
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.parse import public_source
from gguf2ollama.sources.projectors import require_one_projector, require_projector

__all__ = ["find_model", "find_projectors"]


def find_model(
    source: str | os.PathLike[str],
    *,
    projectors: Sequence[str | os.PathLike[str]] = (),
    takes_projector: bool = True,
    draft: str | os.PathLike[str] | None = None,
    takes_draft: bool = True,
    version: str | None = None,
) -> ModelFiles:
    """Find the model that a source names, its projectors and its draft: those given, else those beside it.

    In a folder with several models, a projector or draft goes with the model of its name.

    Args:
        source: A file, any shard, or a folder.
        projectors: Files of projectors.
        takes_projector: Whether, without them, the projector beside the model is used.
        draft: The file of a draft.
        takes_draft: Whether, without it, the draft beside the model is used.
        version: The version of Ollama that will run it; ``None`` for the newest.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        InvalidShards: The shards are not one complete set.
        NotFound: There is no such file, or no model in the folder.
        UsageProblem: The folder has several models, a projector or draft is something else, a piece of the
            model is missing, or the source is not on this machine.
    """
    path = _local(source)
    named = find_projectors(projectors)
    files, beside = _find(path, projectors=named)
    require_one_projector(named, model=files.model.first)
    if draft is not None:
        shard = require_draft(Shard.open(draft), model=files.model.first, version=version)
        files = dataclasses.replace(files, drafts=(shard,))
    return beside.add_to(
        files,
        takes_projector=takes_projector and not named,
        takes_draft=takes_draft and draft is None,
        version=version,
    )


def _find(path: Path, *, projectors: tuple[Shard, ...]) -> tuple[ModelFiles, Beside]:
    if (pieces := find_pieces(path)) is not None or not path.is_dir():
        model = (
            ShardSet.discover(path) if pieces is None else ShardSet(shards=assemble([pieces.read_header()]))
        )
        files = ModelFiles(model=model, projectors=projectors, are_local=pieces is None, pieces=pieces)
        return files, Beside(folder=path.parent if pieces is None else pieces.folder)
    try:
        folder = ModelFolder.scan(path)
    except NotFound:
        if (quantization := _only_quantization(path)) is not None:
            return _find(quantization, projectors=projectors)
        if (adapter := _first_adapter(path)) is not None:
            raise adapter_refusal(adapter.path, adapter.gguf.metadata) from None
        raise
    left_out = (
        *(
            f"not used: {adapter_refusal(adapter.shards[0].path, adapter.metadata).message}"
            for adapter in folder.adapters
        ),
        *(f"skipped: {reason}" for reason in folder.skipped),
    )
    files = ModelFiles(model=folder.model, projectors=projectors, left_out=left_out)
    return files, Beside(folder=path, projectors=folder.projectors, drafts=folder.drafts)


def _only_quantization(folder: Path) -> Path | None:
    """Return the folder of a quantization in that of a repository, if there is one."""
    if not folder.is_dir():
        return None
    found = [path for path in folder.iterdir() if path.is_dir() and is_part_of_above(path)]
    return found[0] if len(found) == 1 and gguf_paths(found[0]) else None


def _first_adapter(folder: Path) -> Shard | None:
    """Return the adapter in a folder without a model."""
    if not folder.is_dir():
        return None
    shards = (Shard.open(path) for path in gguf_paths(folder))
    return next((shard for shard in shards if role_of(shard.gguf) is Role.ADAPTER), None)


def find_projectors(paths: Sequence[str | os.PathLike[str]]) -> tuple[Shard, ...]:
    """Read the headers of the given projectors.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        NotFound: There is no such file.
        UsageProblem: It is not a projector.
    """
    return tuple(_projector(Path(path)) for path in paths)


def _projector(path: Path) -> Shard:
    return require_projector(ShardSet.discover(path).shards[0])


def _local(source: str | os.PathLike[str]) -> Path:
    if not isinstance(source, str):
        return Path(source)
    parsed = parse_source(source)
    if isinstance(parsed, LocalSource):
        return parsed.path
    raise UsageProblem(
        f"{public_source(source)} is not on this machine",
        hint="download it first (`gguf2ollama download`), then give the file or its folder",
    )
