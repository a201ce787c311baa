"""A model as a source has it: its files, where they come from, and what its publishers recommend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio import Shard, ShardSet

if TYPE_CHECKING:
    from gguf2ollama.sources.gguf_files import RepositoryFile

__all__ = ["KnownDigests", "ModelFiles", "Origin", "Published", "SourceSelection", "Value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSelection:
    """Which of a repository's models is wanted; each may be ``None``.

    Attributes:
        quant: The quantization, in any case.
        file: A file, any shard, or a folder with one model.
        revision: A branch, a tag or a commit.
    """

    quant: str | None = None
    file: str | None = None
    revision: str | None = None

    def __bool__(self) -> bool:
        return bool(self.quant or self.file or self.revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value, and where it came from."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the publishers of a model recommend beside the GGUF.

    Attributes:
        parameters: What they recommend for this very GGUF; it precedes what stands in it.
        fallbacks: What the authors recommend for the base model; what the GGUF says precedes it.
        stops: Stop strings, and where each came from.
        system, template: Texts that they want a chat to have.
        chat_template: The chat template of the model that it was made from, as it is today.
    """

    parameters: Mapping[str, Value] = field(default_factory=dict)
    fallbacks: Mapping[str, Value] = field(default_factory=dict)
    stops: Mapping[str, str] = field(default_factory=dict)
    system: Value | None = None
    template: Value | None = None
    chat_template: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the files of a model were found that were not on this machine.

    Attributes:
        source: What names them: ``hf://owner/repo/path@revision``, or a URL.
        commit: The commit of the repository; empty where there is none.
        reason: Why it is these files.
        bytes_fetched: Bytes that came over the network.
        files: What the repository reports of the files: their paths, lengths and digests.
    """

    source: str
    commit: str
    reason: str
    bytes_fetched: int
    files: tuple[RepositoryFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of one model: their headers, and where they are.

    Attributes:
        model: Its shards; one where it is whole.
        projectors: Files that turn images or sound into embeddings for it.
        skipped_adapters: Adapters in the folder, which Ollama no longer accepts.
        origin: Where they come from; ``None`` where they were on this machine.
        published: What the publishers recommend beside them.
        are_local: Whether all of them are on this machine; else the paths are those in the repository.
    """

    model: ShardSet
    projectors: tuple[Shard, ...] = ()
    skipped_adapters: tuple[Path, ...] = ()
    origin: Origin | None = None
    published: Published = field(default_factory=Published)
    are_local: bool = True

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All of them with their headers: the model's, then projectors."""
        return (*self.model.shards, *self.projectors)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, as they were given or found."""
        return tuple(shard.path for shard in self.shards)


class KnownDigests(Protocol):
    """What is known of the sha256 of files on this machine."""

    def of_file(self, path: Path) -> str | None:
        """Return the digest of a file as it is now, as 64 hexadecimal digits; ``None`` if not known."""

    def learn_file(self, path: Path, sha256: str, *, head_bytes: int = 0) -> None:
        """Learn the digest of a file that was hashed while it was written.

        Args:
            path: The file.
            sha256: Its digest, as 64 hexadecimal digits.
            head_bytes: How long its header is; 0 where that is not known.
        """

    def save(self) -> None:
        """Keep what was learnt."""
