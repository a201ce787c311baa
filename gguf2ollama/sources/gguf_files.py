"""Which files of a repository belong together, and what each is for, as their names say.

Publishers keep many quantizations of one model in a repository: one file each, or shards of one, or a folder
for each. Beside them lie files that are no models of their own: projectors, importance matrices, the weights
of multi-token prediction, draft models, adapters.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.ggufio import ShardName, shard_name
from gguf2ollama.sources.quantization import find_quant, without_quant

__all__ = ["Kind", "RepositoryFile", "Variant", "group_files"]

_MOST_MISSING = 8  # shards that are named
_PIECE = lazy_pattern(
    r"(?P<name>.+\.gguf)(?:\.part(?P<no>[0-9]{1,3})of[0-9]{1,3}|[.-](?:split|part)-?[a-z0-9]{1,3})",
    re.IGNORECASE,
)
_WORDS = lazy_pattern(r"[^a-z0-9]+")


class Kind(Enum):
    """What a file of a repository is for, as its name says."""

    MODEL = "model"
    PROJECTOR = "projector"
    IMATRIX = "importance matrix"
    MTP = "multi-token prediction"
    DRAFT = "draft model"
    ADAPTER = "adapter"
    VOCABULARY = "vocabulary"
    PIECES = "pieces"
    """A file that was cut where it happened to be long enough; its pieces have to be put together."""


_KINDS_BY_WORD = {
    "mmproj": Kind.PROJECTOR,
    "lora": Kind.ADAPTER,
    "adapter": Kind.ADAPTER,
    "vocab": Kind.VOCABULARY,
}
_KINDS_BESIDE = {"mtp": Kind.MTP, "draft": Kind.DRAFT, "eagle3": Kind.DRAFT, "dflash": Kind.DRAFT}
"""Words that also stand in the names of whole models: a file is this beside one without the word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFile:
    """One file of a repository.

    Attributes:
        path: From the repository's root, with ``/``.
        size: Bytes of it.
        sha256: Its digest where it is in LFS, as 64 hexadecimal digits.
        git_oid: The digest that Git gives it (SHA-1, 40 hexadecimal digits) where it is not in LFS.
        is_xet: Whether the Hub keeps it in Xet, which hf_xet gets by a protocol of its own.
    """

    path: str
    size: int
    sha256: str | None = None
    git_oid: str | None = None
    is_xet: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path)

    @property
    def folder(self) -> str:
        """The path of its folder; empty for the root."""
        return posixpath.dirname(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One model, or what goes with one: its file, or all its shards.

    Attributes:
        kind: What it is for.
        name: Its path without ``.gguf`` and without the number of a shard.
        quant: Its quantization, such as ``UD-Q4_K_XL``; ``None`` where no name says.
        files: In order.
        missing: Paths of shards that the repository lacks.
    """

    kind: Kind
    name: str
    quant: str | None
    files: tuple[RepositoryFile, ...]
    missing: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def base(self) -> str:
        """The model's name without the quantization, to distinguish the models of a repository."""
        return without_quant(posixpath.basename(self.name))

    def bits_per_weight(self, parameters: int | None) -> float | None:
        """Return the bits that each of ``parameters`` weights takes; ``None`` where they are not counted."""
        return self.n_bytes * 8 / parameters if parameters else None


def group_files(files: Iterable[RepositoryFile]) -> list[Variant]:
    """Put shards and pieces together, and say what each is for; files that are not GGUF are left out."""
    return list(_sorted_by_kind(list(_group(files))))


def _group(files: Iterable[RepositoryFile]) -> Iterator[Variant]:
    shards: dict[tuple[str, str, int], dict[int, RepositoryFile]] = defaultdict(dict)
    pieces: dict[str, list[RepositoryFile]] = defaultdict(list)
    for file in files:
        if match := _PIECE.fullmatch(file.path):
            pieces[match["name"]].append(file)
        elif not file.name.lower().endswith(".gguf"):
            continue
        elif name := ShardName.parse(file.name):
            shards[file.folder, name.prefix, name.count][name.no] = file
        else:
            yield _variant(file.path[: -len(".gguf")], (file,))
    for (folder, prefix, count), by_no in shards.items():
        missing = (no for no in range(min(count, _MOST_MISSING + len(by_no))) if no not in by_no)
        yield _variant(
            posixpath.join(folder, prefix),
            tuple(by_no[no] for no in sorted(by_no)),
            missing=tuple(posixpath.join(folder, shard_name(prefix, no=no, count=count)) for no in missing),
        )
    for whole, cut in pieces.items():
        ordered = tuple(sorted(cut, key=_piece_order))
        yield _variant(whole[: -len(".gguf")], ordered, kind=Kind.PIECES)


def _piece_order(file: RepositoryFile) -> tuple[int, str]:
    match = _PIECE.fullmatch(file.path)
    return (int(match["no"]) if match and match["no"] else 0, file.path)


def _variant(
    name: str, files: tuple[RepositoryFile, ...], *, missing: tuple[str, ...] = (), kind: Kind | None = None
) -> Variant:
    own = find_quant(posixpath.basename(name))
    folders = reversed(posixpath.dirname(name).split("/"))
    quant = own or next((found for part in folders if (found := find_quant(part))), None)
    return Variant(
        kind=kind or _kind_by_name(name, quant=own), name=name, quant=quant, files=files, missing=missing
    )


def _kind_by_name(name: str, *, quant: str | None) -> Kind:
    words = _words(posixpath.basename(name))
    for word, kind in _KINDS_BY_WORD.items():
        if word in words:
            return kind
    # beside a quantization the word says how that was made
    return Kind.IMATRIX if "imatrix" in words and quant is None else Kind.MODEL


def _sorted_by_kind(variants: Sequence[Variant]) -> Iterator[Variant]:
    """Return what goes with a model from models whose names hold the same word."""
    has_plain = any(variant.kind is Kind.MODEL and not _beside(variant) for variant in variants)
    for variant in variants:
        word = _beside(variant) if variant.kind is Kind.MODEL else None
        yield replace(variant, kind=_KINDS_BESIDE[word]) if word and has_plain else variant


def _beside(variant: Variant) -> str | None:
    words = _words(variant.name)
    return next((word for word in _KINDS_BESIDE if word in words), None)


def _words(text: str) -> list[str]:
    return _WORDS.split(text.lower())
