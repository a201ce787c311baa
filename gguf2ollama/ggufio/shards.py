"""A model in one file or in shards, and a folder with a model and its projectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidGguf, InvalidShards, NotFound, UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ggufio.metadata import Metadata
from gguf2ollama.ggufio.reader import GgufFile
from gguf2ollama.ggufio.roles import Role, role_of
from gguf2ollama.ggufio.shard_files import (
    Shard,
    assemble,
    dead_links,
    gather,
    gguf_paths,
    group,
    is_copy,
    set_name,
    shard_name,
)
from gguf2ollama.ggufio.tensors import TensorInfo

__all__ = ["ModelFolder", "ShardSet"]

_TOKENIZER = "tokenizer.ggml.model"
_OTHER_WEIGHTS = frozenset({".safetensors", ".bin", ".pth", ".pt", ".onnx"})
_MOST_FOLDERS = 1000
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSet:
    """All files of one model in order, checked for consistency.

    Attributes:
        shards: In the order of ``split.no``; at least one.
    """

    shards: tuple[Shard, ...]

    @classmethod
    def from_paths(cls, paths: Iterable[str | os.PathLike[str]]) -> ShardSet:
        """Return the set of given files, in the order of their headers, whatever their names.

        Raises:
            InvalidGguf: One of them is not a valid GGUF file.
            InvalidShards: They are not one complete set.
            NotFound: One of them does not exist.
            UsageProblem: No path is given, or one is a folder.
        """
        shards = [Shard.open(path) for path in paths]
        if not shards:
            raise UsageProblem("no file given")
        return cls(shards=assemble(shards))

    @classmethod
    def discover(cls, path: str | os.PathLike[str]) -> ShardSet:
        """Find the complete model of a file, any of its shards, or a folder.

        Other shards are searched in the same folder: first by name, then, if they were renamed,
        by the headers of all GGUF files there. Symbolic links are followed, for reading.

        Raises:
            InvalidGguf: The file, or another shard, is not a valid GGUF file.
            InvalidShards: A shard is missing, duplicate, or from another model.
            NotFound: The path does not exist, or the folder contains no model.
            UsageProblem: The folder contains more than one model.
        """
        place = Path(path)
        if place.is_dir():
            return ModelFolder.scan(place).model
        shard = Shard.open(place)
        shard.require_whole()
        shard.require_not_joined()
        with disk_errors(place.parent):
            return cls(shards=(shard,) if shard.count == 1 else gather(shard))

    @property
    def name(self) -> str:
        """The file name without ``.gguf`` and without the number of the shard."""
        return set_name(self.shards)

    @property
    def first(self) -> GgufFile:
        """The header of the first shard, which has the metadata."""
        return self.shards[0].gguf

    @property
    def metadata(self) -> Metadata:
        """Keys and values of the model."""
        return self.first.metadata

    @property
    def role(self) -> Role:
        """Its role."""
        return role_of(self.first)

    @property
    def has_tokenizer(self) -> bool:
        """Whether it has the tokenizer without which nothing is a language model."""
        return _TOKENIZER in self.metadata

    @property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """The tensors of all shards in order; each ``offset`` is relative to its own shard's data section."""
        return tuple(tensor for shard in self.shards for tensor in shard.gguf.tensors)

    @property
    def parameter_count(self) -> int:
        """The number of elements of all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def total_bytes(self) -> int:
        """The bytes of all files."""
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
    """The contents of a folder: one model, and the files that belong to it.

    Attributes:
        model: The one model.
        projectors: Its projectors of images or sound, by name.
        adapters: LoRA adapters and control vectors, by name.
        drafts: What predicts tokens for it to check, by name.
        others: Files that a model does not need at run time: importance matrices, vocabularies.
        skipped: Files that were passed over, such as half of a download, each with the reason.
    """

    model: ShardSet
    projectors: tuple[ShardSet, ...]
    adapters: tuple[ShardSet, ...]
    drafts: tuple[ShardSet, ...]
    others: tuple[ShardSet, ...]
    skipped: tuple[str, ...] = ()

    @classmethod
    def scan(cls, folder: str | os.PathLike[str]) -> ModelFolder:
        """Classify the GGUF files of a folder (without subfolders) by their headers.

        What is broken, incomplete or a copy is skipped beside a model that is whole.

        Raises:
            InvalidGguf: There is no model, and one of them is not a valid GGUF file.
            InvalidShards: There is no model, and some shards do not form a complete set.
            NotFound: The folder does not exist, or contains no model.
            UsageProblem: It contains more than one model.
        """
        place = Path(folder)
        problems: list[InvalidGguf | InvalidShards] = []
        with disk_errors(place):
            dead = [f"{path} is a symbolic link to nothing" for path in dead_links(place)]
            files = list(_open_all(gguf_paths(place), problems))
            grouped, incomplete = group(files)
            problems += incomplete
        sets = [ShardSet(shards=ordered) for ordered in grouped]
        models = [model for model in sets if model.role is Role.MODEL]
        if not models:
            raise problems[0] if problems else _no_model(place, sets, dead=dead)
        language = [model for model in models if model.has_tokenizer]
        strangers = [model for model in models if language and not model.has_tokenizer]
        models, copies = _without_copies(language or models)
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
            drafts=tuple(shards for shards in sets if shards.role is Role.DRAFT),
            others=tuple(shards for shards in sets if shards.role in {Role.IMATRIX, Role.VOCABULARY}),
            skipped=(
                *(problem.message for problem in problems),
                *dead,
                *copies,
                *(f"{stranger.shards[0].path} has no tokenizer" for stranger in strangers),
            ),
        )


def _open_all(paths: Iterable[Path], problems: list[InvalidGguf | InvalidShards]) -> Iterator[Shard]:
    for path in paths:
        try:
            yield Shard.open(path)
        except InvalidGguf as problem:
            problems.append(problem)


def _without_copies(models: Sequence[ShardSet]) -> tuple[list[ShardSet], list[str]]:
    """Leave out files whose name, size and header say that they are a second download of another."""
    kept, copies = [], []
    for model in models:
        path = model.shards[0].path
        original = next(
            (
                other.shards[0]
                for other in models
                if is_copy(path, of=other.shards[0].path)
                and other.total_bytes == model.total_bytes
                and other.first.tensors == model.first.tensors
            ),
            None,
        )
        if original is None:
            kept.append(model)
        else:
            copies.append(f"{path} is a copy of {original.path.name}")
    return kept, copies


def _no_model(folder: Path, sets: Sequence[ShardSet], *, dead: Sequence[str]) -> NotFound:
    below = _folders_below(folder)
    hint = "name a GGUF file, or a directory with one"
    if below:
        hint = f"name the directory {below[0]}"
        if len(below) > 1:
            hint = f"{hint}, or another of those with GGUF files in it; --all builds all models"
    if sets:
        found = ", ".join(f"{shards.shards[0].path.name} ({shards.role.value})" for shards in sets)
        hint = hint if below else "put the model there, or name it"
        return NotFound(f"no model in {folder}, only {found}", hint=hint)
    if dead:
        return NotFound(
            f"no GGUF file in {folder}: {', '.join(dead[:_NAMED])}",
            hint="get the file again, or mount the disk that it is on",
        )
    others = sorted(
        {ending for path in folder.iterdir() if (ending := path.suffix.lower()) in _OTHER_WEIGHTS}
    )
    if others and not below:
        only = " and ".join(ending.removeprefix(".") for ending in others)
        hint = "convert it to GGUF first, with llama.cpp's convert_hf_to_gguf.py"
        return NotFound(f"no GGUF file in {folder}, only {only}", hint=hint)
    return NotFound(f"no GGUF file in {folder}", hint=hint)


def _folders_below(folder: Path) -> list[Path]:
    """Return the folders below that have GGUF files, as far as they are found soon."""
    found = []
    for count, (place, folders, names) in enumerate(os.walk(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.lower().endswith(".gguf") and not name.startswith(".") for name in names):
            found.append(Path(place))
        if count > _MOST_FOLDERS or len(found) > _NAMED:
            break
    return [path for path in found if path != folder]
