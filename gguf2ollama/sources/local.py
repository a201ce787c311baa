"""Find the files of a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, Shard, ShardSet, role_of
from gguf2ollama.names import LocalSource, parse_source
from gguf2ollama.sources.gguf_files import RepositoryFile, collect_sets, cut_in_pieces
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.parse import public_source

__all__ = ["find_model", "find_projectors", "require_projector"]


def find_model(
    source: str | os.PathLike[str], *, projectors: Sequence[str | os.PathLike[str]] = ()
) -> ModelFiles:
    """Find the model that a source names, and its projectors.

    The projector in a folder is used if the folder is given; with a file it has to be given, too, since it
    may belong to another model there.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        InvalidShards: The shards are not one complete set.
        NotFound: There is no such file, or no model in the folder.
        UsageProblem: The folder has several models or projectors, a projector is something else, or the
            source is not on this machine.
    """
    path = _local(source)
    named = find_projectors(projectors)
    _require_joined(path)
    if not path.is_dir():
        return ModelFiles(model=ShardSet.discover(path), projectors=named)
    folder = ModelFolder.scan(path)
    left_out = (
        *(
            f"{adapter.shards[0].path.name} is an adapter and was skipped: Ollama 0.34.1 and later do not"
            " support adapters"
            for adapter in folder.adapters
        ),
        *(f"skipped: {reason}" for reason in folder.skipped),
    )
    if named or not folder.projectors:
        return ModelFiles(model=folder.model, projectors=named, left_out=left_out)
    if len(folder.projectors) > 1:
        names = ", ".join(projector.shards[0].path.name for projector in folder.projectors)
        raise UsageProblem(
            f"{path} has {len(folder.projectors)} projectors: {names}",
            hint=f"choose one with --mmproj, such as {folder.projectors[0].shards[0].path}",
        )
    return ModelFiles(model=folder.model, projectors=folder.projectors[0].shards, left_out=left_out)


def _require_joined(path: Path) -> None:
    """Check that a file is not a piece of another, and that a folder holds more than pieces of files.

    Raises:
        UsageProblem: It is, or does not.
    """
    folder = path if path.is_dir() else path.parent
    try:
        files = [RepositoryFile(path=entry.name, size=0) for entry in folder.iterdir() if entry.is_file()]
    except OSError:  # said where the file is opened
        return
    sets = collect_sets(files)
    if path.is_dir() and any(not found.is_cut for found in sets):
        return
    for found in sets:
        if found.is_cut and (path.is_dir() or path.name in {file.name for file in found.files}):
            raise cut_in_pieces(found, place=str(folder))


def find_projectors(paths: Sequence[str | os.PathLike[str]]) -> tuple[Shard, ...]:
    """Read the headers of the given projectors.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        NotFound: There is no such file.
        UsageProblem: It is not a projector.
    """
    return tuple(_projector(Path(path)) for path in paths)


def require_projector(shard: Shard) -> Shard:
    """Return the file if its header says that it is a projector.

    Raises:
        UsageProblem: It says something else.
    """
    if (role := role_of(shard.gguf)) is not Role.PROJECTOR:
        raise UsageProblem(
            f"{shard.path} is not a projector: its header says {role.value}",
            hint="give an mmproj file",
        )
    return shard


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
