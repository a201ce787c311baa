"""Find the files of a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, Shard, ShardSet, role_of
from gguf2ollama.names import LocalSource, parse_source
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
    if not path.is_dir():
        return ModelFiles(model=ShardSet.discover(path), projectors=named)
    folder = ModelFolder.scan(path)
    adapters = tuple(adapter.shards[0].path for adapter in folder.adapters)
    if named or not folder.projectors:
        return ModelFiles(model=folder.model, projectors=named, skipped_adapters=adapters)
    if len(folder.projectors) > 1:
        names = ", ".join(projector.shards[0].path.name for projector in folder.projectors)
        raise UsageProblem(
            f"{path} has {len(folder.projectors)} projectors: {names}",
            hint=f"choose one with --mmproj, such as {folder.projectors[0].shards[0].path}",
        )
    return ModelFiles(model=folder.model, projectors=folder.projectors[0].shards, skipped_adapters=adapters)


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
