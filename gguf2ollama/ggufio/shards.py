"""A model in one file or in shards, and the folder that holds it with what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ggufio.assembly import Shard, assemble, gather, gguf_paths, group, set_name, shard_name
from gguf2ollama.ggufio.metadata import Metadata
from gguf2ollama.ggufio.reader import GgufFile
from gguf2ollama.ggufio.roles import Role, role_of
from gguf2ollama.ggufio.tensors import TensorInfo

__all__ = ["ModelFolder", "ShardSet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSet:
    """All files of one model in order, checked to belong together.

    Attributes:
        shards: In the order of ``split.no``; at least one.
    """

    shards: tuple[Shard, ...]

    @classmethod
    def from_paths(cls, paths: Iterable[str | os.PathLike[str]]) -> ShardSet:
        """Put files in order, whatever their order and names here: their headers tell.

        Raises:
            InvalidGguf: One of them is no GGUF, or a broken one.
            InvalidShards: They are not one whole set.
            NotFound: One of them is not there.
            UsageProblem: No path was given, or one is a folder.
        """
        shards = [Shard.open(path) for path in paths]
        if not shards:
            raise UsageProblem("no file given")
        return cls(shards=assemble(shards))

    @classmethod
    def discover(cls, path: str | os.PathLike[str]) -> ShardSet:
        """Find the whole model from a file, any of its shards, or the folder that holds it.

        Other shards are looked for beside the given one: first by name, then, where names were changed,
        by the headers of all GGUF files there. Symbolic links are followed, for reading.

        Raises:
            InvalidGguf: The file, or one that belongs to it, is no GGUF or a broken one.
            InvalidShards: A shard is missing, there twice, or from another model.
            NotFound: Nothing is there, or the folder holds no model.
            UsageProblem: The folder holds more than one model.
        """
        place = Path(path)
        if place.is_dir():
            return ModelFolder.scan(place).model
        shard = Shard.open(place)
        with disk_errors(place.parent):
            return cls(shards=(shard,) if shard.count == 1 else gather(shard))

    @property
    def name(self) -> str:
        """The file name without ``.gguf`` and without the number of the shard."""
        return set_name(self.shards)

    @property
    def first(self) -> GgufFile:
        """The header of the first shard, which carries the metadata."""
        return self.shards[0].gguf

    @property
    def metadata(self) -> Metadata:
        """Keys and values of the model."""
        return self.first.metadata

    @property
    def role(self) -> Role:
        """What it is for."""
        return role_of(self.first)

    @property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """The tensors of all shards in order; each ``offset`` counts from its own shard's data section."""
        return tuple(tensor for shard in self.shards for tensor in shard.gguf.tensors)

    @property
    def parameter_count(self) -> int:
        """Elements of all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(shard.size for shard in self.shards)

    @property
    def is_split(self) -> bool:
        """Whether there is more than one file."""
        return len(self.shards) > 1

    @property
    def canonical_names(self) -> tuple[str, ...]:
        """File names by which llama.cpp and Ollama find the shards; ``NAME.gguf`` for a single file."""
        if not self.is_split:
            return (f"{self.name}.gguf",)
        count = len(self.shards)
        return tuple(shard_name(self.name, no=no, count=count) for no in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What a folder holds: one model, and the files that are for it.

    Attributes:
        model: The one model.
        projectors: Files that turn images or sound into embeddings for it, by name.
        adapters: LoRA adapters and control vectors, by name.
        others: What a model needs not when it runs: importance matrices, vocabularies.
    """

    model: ShardSet
    projectors: tuple[ShardSet, ...]
    adapters: tuple[ShardSet, ...]
    others: tuple[ShardSet, ...]

    @classmethod
    def scan(cls, folder: str | os.PathLike[str]) -> ModelFolder:
        """Sort the GGUF files of a folder (not of folders below it) by what their headers say.

        Raises:
            InvalidGguf: One of them is no GGUF, or a broken one.
            InvalidShards: Shards there are no whole set.
            NotFound: The folder is not there, or holds no model.
            UsageProblem: It holds more than one model.
        """
        place = Path(folder)
        with disk_errors(place):
            sets = [
                ShardSet(shards=ordered) for ordered in group(Shard.open(path) for path in gguf_paths(place))
            ]
        models = [model for model in sets if model.role is Role.MODEL]
        if not models:
            raise _no_model(place, sets)
        if len(models) > 1:
            names = ", ".join(sorted(model.shards[0].path.name for model in models))
            raise UsageProblem(
                f"{place} contains {len(models)} models: {names}",
                hint=f"name one of them, such as {models[0].shards[0].path}",
            )
        return cls(
            model=models[0],
            projectors=tuple(shards for shards in sets if shards.role is Role.PROJECTOR),
            adapters=tuple(shards for shards in sets if shards.role is Role.ADAPTER),
            others=tuple(shards for shards in sets if shards.role in {Role.IMATRIX, Role.VOCABULARY}),
        )


def _no_model(folder: Path, sets: Sequence[ShardSet]) -> NotFound:
    if not sets:
        below = next((path.parent for path in sorted(folder.glob("*/*.gguf"))), None)
        hint = f"name the directory {below}" if below else "name a GGUF file, or a directory with one"
        return NotFound(f"no GGUF file in {folder}", hint=hint)
    found = ", ".join(f"{shards.shards[0].path.name} ({shards.role.value})" for shards in sets)
    return NotFound(f"no model in {folder}, only {found}", hint="put the model there, or name it")
