"""The files of a repository, and which of them are one GGUF: a file, its shards, or its pieces."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.ggufio import ShardName

__all__ = ["FileSet", "Kind", "RepositoryFile", "Variant", "collect_sets"]

_MOST_MISSING = 8  # files that are named
_PIECE = lazy_pattern(
    r"(?P<whole>.+\.gguf)(?P<before>[._-](?:(?P<word>split|part|piece|chunk)[._-]?)?)(?P<no>[0-9]{1,5}|[a-z]{1,3})"
    r"(?P<count>[-_]?of[-_]?(?P<total>[0-9]{1,5}))?",
    re.IGNORECASE | re.DOTALL,
)
_SPLIT = lazy_pattern(r"[-._ ](?:split|part|shard)$", re.IGNORECASE)


class Kind(Enum):
    """What a file of a repository is for."""

    MODEL = "model"
    PROJECTOR = "projector"
    IMATRIX = "importance matrix"
    MTP = "multi-token prediction"
    DRAFT = "draft model"
    ADAPTER = "adapter"
    VOCABULARY = "vocabulary"
    COMPONENT = "component"
    """Another part: the tokenizer or the vocoder of a speech model, an encoder of text for images."""


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
class FileSet:
    """One GGUF: its file, all its shards, or all its pieces.

    Attributes:
        name: Its path without ``.gguf`` and without the number of a shard.
        files: In order.
        missing: Paths of shards or pieces that the repository lacks.
        is_cut: Whether the files are pieces: bytes of one file, which have to be joined.
    """

    name: str
    files: tuple[RepositoryFile, ...]
    missing: tuple[str, ...] = ()
    is_cut: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One model, or what goes with one: its file, or all its shards.

    Attributes:
        kind: What it is for.
        name: Its path without ``.gguf`` and without the number of a shard.
        quant: What distinguishes it from the other files of its model, usually its quantization, such as
            ``UD-Q4_K_XL``; ``None`` where no name says.
        files: In order.
        missing: Paths of shards or pieces that the repository lacks.
        is_cut: Whether the files are pieces of one file.
        base: The model's name without the label, to distinguish the models of a repository.
        n_extra: Words by which its name is longer than the model's: 1 for another build called ``max``.
        needs_header: Whether names and sizes leave open what it is.
    """

    kind: Kind
    name: str
    quant: str | None
    files: tuple[RepositoryFile, ...]
    missing: tuple[str, ...] = ()
    is_cut: bool = False
    base: str = ""
    n_extra: int = 0
    needs_header: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def depth(self) -> int:
        """The number of folders that it is in."""
        return self.name.count("/")

    def bits_per_weight(self, parameters: int | None) -> float | None:
        """Return the bits that each of ``parameters`` weights takes; ``None`` where they are not counted."""
        return self.n_bytes * 8 / parameters if parameters else None


def collect_sets(files: Iterable[RepositoryFile]) -> list[FileSet]:
    """Put shards and pieces together; files that are not GGUF are left out, and so are hidden ones."""
    return list(_collect(file for file in files if not _is_hidden(file.path)))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _collect(files: Iterable[RepositoryFile]) -> Iterator[FileSet]:
    shards: dict[tuple[str, str, str], dict[int, RepositoryFile]] = defaultdict(dict)
    pieces: dict[tuple[str, str, str], dict[int, RepositoryFile]] = defaultdict(dict)
    for file in files:
        if not file.name.lower().endswith(".gguf"):
            if match := _PIECE.fullmatch(file.path):
                pieces[match["whole"], match["before"].lower(), match["count"] or ""][
                    _ordinal(match["no"])
                ] = file
        elif name := ShardName.parse(file.name):
            shards[file.folder, name.head, name.tail.lower()][name.no] = file
        else:
            yield FileSet(name=_without_ending(file.path), files=(file,))
    for (folder, _, _), by_no in shards.items():
        name = ShardName.parse(next(iter(by_no.values())).name)
        assert name is not None  # noqa: S101 - as it was collected
        missing = (no for no in range(min(name.count, _MOST_MISSING + len(by_no))) if no not in by_no)
        yield FileSet(
            name=posixpath.join(folder, _SPLIT.sub("", name.prefix) or name.prefix),
            files=tuple(by_no[no] for no in sorted(by_no)),
            missing=tuple(posixpath.join(folder, name.of(no)) for no in missing),
        )
    for by_no in pieces.values():
        if (cut := _pieces(by_no)) is not None:
            yield cut


def _pieces(by_no: dict[int, RepositoryFile]) -> FileSet | None:
    """Return the file that pieces are cut from; ``None`` where the endings are not numbers in a row."""
    numbers = sorted(by_no)
    match = _PIECE.fullmatch(by_no[numbers[0]].path)
    assert match is not None  # noqa: S101 - as it was collected
    total = int(match["total"]) if match["total"] else numbers[-1] + (numbers[0] == 0)
    is_named = match["word"] is not None or match["total"] is not None
    if not is_named and (len(numbers) < 2 or numbers[0] > 1):  # noqa: PLR2004 - model.gguf.bz, model.gguf.2024
        return None
    first = 0 if 0 in by_no else 1
    missing = itertools.islice((no for no in range(first, first + total) if no not in by_no), _MOST_MISSING)
    return FileSet(
        name=_without_ending(match["whole"]),
        files=tuple(by_no[no] for no in numbers),
        missing=tuple(_piece_path(match, no=no) for no in missing),
        is_cut=True,
    )


def _piece_path(match: re.Match[str], *, no: int) -> str:
    written = match["no"]
    if written.isdigit():
        number = str(no).zfill(len(written) if written.startswith("0") else 1)
    else:
        number = ""
        left = no - 1
        for _ in written:
            left, letter = divmod(left, 26)
            number = chr(ord("a") + letter) + number
    return f"{match['whole']}{match['before']}{number}{match['count'] or ''}"


def _ordinal(text: str) -> int:
    """Return the number of a piece: 12 of ``12``; 1 of ``a`` and ``aa``, as ``split`` counts."""
    if text.isdigit():
        return int(text)
    value = 0
    for letter in text.lower():
        value = value * 26 + ord(letter) - ord("a")
    return value + 1


def _without_ending(path: str) -> str:
    return path[: -len(".gguf")]
