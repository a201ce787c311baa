"""A model as a source has it: its files, where they come from, and what its publishers recommend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.sources.catalogue.quantization import find_quant

if TYPE_CHECKING:
    from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
    from gguf2ollama.sources.local_pieces import LocalPieces

__all__ = [
    "KnownDigests",
    "ModelFiles",
    "Origin",
    "Published",
    "ServerVariant",
    "SourceSelection",
    "Value",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSelection:
    """Which model of a repository to use; each may be ``None``.

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
    """A value and its origin."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the publishers of a model recommend in files other than the GGUF.

    Attributes:
        parameters: Recommendations for this GGUF; they precede those in its header.
        fallbacks: Recommendations for the base model; those in the header precede them.
        stops: Stop strings with their origins.
        system, template: The recommended SYSTEM and TEMPLATE.
        chat_template: The current chat template of the base model.
        problems: What of it cannot be used, and why, one sentence each.
        tags: What the model is for, in the words of its site, such as ``feature-extraction``.
        pooling: How it makes one vector of a text's tokens; see
            :func:`gguf2ollama.sources.sentence_transformers.read_pooling`.
        prompts: Texts that belong before a text to embed, by their names.
    """

    parameters: Mapping[str, Value] = field(default_factory=dict)
    fallbacks: Mapping[str, Value] = field(default_factory=dict)
    stops: Mapping[str, str] = field(default_factory=dict)
    system: Value | None = None
    template: Value | None = None
    chat_template: Value | None = None
    problems: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pooling: Value | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the files of a model were found, other than on this machine.

    Attributes:
        source: What names them: ``hf://owner/repo/path@revision``, or a URL.
        commit: The commit of the repository; empty if it has none.
        reason: Why these files were chosen.
        bytes_fetched: Bytes that were downloaded.
        files: Paths, sizes and digests as the repository reports them.
        repository: ``owner/repo``; empty if it has none.
        label: What distinguishes the model from others in the repository; ``None`` if nothing does.
        downloaded: The files here that were downloaded now, and were not here before.
    """

    source: str
    commit: str
    reason: str
    bytes_fetched: int
    files: tuple[RepositoryFile, ...] = ()
    repository: str = ""
    label: str | None = None
    downloaded: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVariant:
    """A model of a server whose files cannot be read here, so that only a variant of it can be made.

    Attributes:
        name: Its name.
        is_native: Whether the chat template in its GGUF renders its chats, and no TEMPLATE does.
    """

    name: str
    is_native: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of one model: their headers, and where they are.

    Attributes:
        model: Its shards; one if it is not split.
        projectors: Files that turn images or sound into embeddings for it.
        drafts: What predicts tokens for it to check; one at most.
        left_out: What lies beside the model and is not used, though one could expect it; one sentence each.
        notes: What was chosen of several, one line each.
        origin: Where they come from; ``None`` if they were on this machine.
        published: What the publishers recommend.
        variant_of: The model of a server whose files they are, where they cannot be read here.
        are_local: Whether all are on this machine as they are; otherwise their paths are those in the
            repository, or that of a file yet to be joined.
        pieces: What the model is cut into on this machine; ``None`` for nothing.
        joined: The file of the model, if it was joined of pieces; not needed once it is in Ollama.
    """

    model: ShardSet
    projectors: tuple[Shard, ...] = ()
    drafts: tuple[Shard, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Origin | None = None
    published: Published = field(default_factory=Published)
    variant_of: ServerVariant | None = None
    are_local: bool = True
    pieces: LocalPieces | None = None
    joined: Path | None = None

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All files with their headers: the model's, then projectors, then drafts."""
        return (*self.model.shards, *self.projectors, *self.drafts)

    @property
    def label(self) -> str | None:
        """What its publishers call this file of the model: usually the quantization, as names have it."""
        return (self.origin.label if self.origin else None) or find_quant(self.model.name)

    @property
    def names(self) -> tuple[str, ...]:
        """What file and repository are called."""
        return (self.model.name, *([self.origin.repository] if self.origin is not None else []))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of all files, as given or found."""
        return tuple(shard.path for shard in self.shards)


class KnownDigests(Protocol):
    """The known digests (sha256) of files on this machine."""

    def of_file(self, path: Path) -> str | None:
        """Return the digest of a file as it is now, as 64 hexadecimal digits; ``None`` if not known."""

    def learn_file(self, path: Path, sha256: str, *, head_bytes: int = 0) -> None:
        """Store the digest of a file that was hashed while it was written.

        Args:
            path: The file.
            sha256: Its digest, as 64 hexadecimal digits.
            head_bytes: The size of its header; 0 if that is not known.
        """

    def save(self) -> None:
        """Write new digests to the cache."""
