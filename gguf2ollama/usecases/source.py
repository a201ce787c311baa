"""Find the files of a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, Shard, ShardSet
from gguf2ollama.refs import LocalSource, parse_source

__all__ = ["ModelFiles", "find_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of one model.

    Attributes:
        model: Its shards; one where it is whole.
        projectors: Files that turn images or sound into embeddings for it.
        left_out: Adapters in the folder, which Ollama no longer takes.
    """

    model: ShardSet
    projectors: tuple[Shard, ...] = ()
    left_out: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, as they were given or found."""
        return tuple(shard.path for shard in (*self.model.shards, *self.projectors))


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
    named = tuple(_projector(Path(one)) for one in projectors)
    if not path.is_dir():
        return ModelFiles(model=ShardSet.discover(path), projectors=named)
    folder = ModelFolder.scan(path)
    adapters = tuple(each.shards[0].path for each in folder.adapters)
    if named or not folder.projectors:
        return ModelFiles(model=folder.model, projectors=named, left_out=adapters)
    if len(folder.projectors) > 1:
        names = ", ".join(each.shards[0].path.name for each in folder.projectors)
        raise UsageProblem(
            f"{path} holds {len(folder.projectors)} projectors: {names}",
            hint=f"name one of them with --mmproj, such as {folder.projectors[0].shards[0].path}",
        )
    return ModelFiles(model=folder.model, projectors=folder.projectors[0].shards, left_out=adapters)


def _projector(path: Path) -> Shard:
    found = ShardSet.discover(path)
    if found.role is not Role.PROJECTOR:
        raise UsageProblem(
            f"{path} is no projector, its header says {found.role.value}",
            hint="an mmproj file is wanted there",
        )
    return found.shards[0]


def _local(source: str | os.PathLike[str]) -> Path:
    if not isinstance(source, str):
        return Path(source)
    parsed = parse_source(source)
    if isinstance(parsed, LocalSource):
        return parsed.path
    raise UsageProblem(
        f"{source} is not on this machine, and this version reads only files and folders",
        hint="download it first (`hf download …`), then name the file or its folder",
    )
