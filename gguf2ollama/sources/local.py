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

    A projector in the folder comes along when the folder is named; beside a file it has to be named, since
    it may belong to another model there.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        InvalidShards: The shards are not one whole set.
        NotFound: There is no such file, or no model in the folder.
        UsageProblem: The folder holds several models or projectors, a projector is none, or the source is
            not on this machine.
    """
    path = _local(source)
    named = find_projectors(projectors)
    if not path.is_dir():
        return ModelFiles(model=ShardSet.discover(path), projectors=named)
    folder = ModelFolder.scan(path)
    adapters = tuple(each.shards[0].path for each in folder.adapters)
    if named or not folder.projectors:
        return ModelFiles(model=folder.model, projectors=named, skipped_adapters=adapters)
    if len(folder.projectors) > 1:
        names = ", ".join(each.shards[0].path.name for each in folder.projectors)
        raise UsageProblem(
            f"{path} holds {len(folder.projectors)} projectors: {names}",
            hint=f"name one of them with --mmproj, such as {folder.projectors[0].shards[0].path}",
        )
    return ModelFiles(model=folder.model, projectors=folder.projectors[0].shards, skipped_adapters=adapters)


def find_projectors(paths: Sequence[str | os.PathLike[str]]) -> tuple[Shard, ...]:
    """Read the headers of projectors that were named.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        NotFound: There is no such file.
        UsageProblem: It is no projector.
    """
    return tuple(_projector(Path(one)) for one in paths)


def require_projector(shard: Shard) -> Shard:
    """Return a file back whose header says that it is a projector.

    Raises:
        UsageProblem: It says something else.
    """
    if (role := role_of(shard.gguf)) is not Role.PROJECTOR:
        raise UsageProblem(
            f"{shard.path} is not a projector: its header says {role.value}",
            hint="name an mmproj file",
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
        f"{public_source(source)} is not on this machine, where it is wanted",
        hint="download it first (`gguf2ollama download`), then name the file or its folder",
    )
