"""The ranges that a file consists of: given bytes, ranges of other files, and zeros."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio.shard_files import Shard
from gguf2ollama.ggufio.tensors import TensorInfo, align

__all__ = ["FileRange", "GivenBytes", "Range", "Zeros", "coalesce", "cut_front", "tensor_ranges"]


@dataclass(frozen=True, slots=True)
class GivenBytes:
    """Bytes that are in no file, such as a new header."""

    content: bytes

    @property
    def length(self) -> int:
        """The number of bytes."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class FileRange:
    """A range of a file: ``length`` bytes from ``offset``."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Zeros:
    """Zero bytes, as padding."""

    length: int


Range: TypeAlias = GivenBytes | FileRange | Zeros


def tensor_ranges(shard: Shard, tensors: Iterable[TensorInfo], *, alignment: int) -> list[FileRange | Zeros]:
    """Return the ranges of the tensors of a shard, each padded with zeros to the alignment."""
    ranges: list[FileRange | Zeros] = []
    for tensor in tensors:
        ranges.append(FileRange(shard.path, shard.gguf.data_offset + tensor.offset, tensor.n_bytes))
        if padding := align(tensor.n_bytes, alignment) - tensor.n_bytes:
            ranges.append(Zeros(padding))
    return ranges


def coalesce(ranges: Iterable[Range]) -> Iterator[Range]:
    """Join adjacent ranges of one file, and drop empty ones."""
    last: Range | None = None
    for part in ranges:
        if part.length == 0:
            continue
        if (
            isinstance(last, FileRange)
            and isinstance(part, FileRange)
            and (part.path, part.offset) == (last.path, last.offset + last.length)
        ):
            last = FileRange(last.path, last.offset, last.length + part.length)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


def cut_front(ranges: Iterable[Range], count: int) -> Iterator[Range]:
    """Return the ranges without a number of leading bytes."""
    for part in ranges:
        cut = min(count, part.length)
        count -= cut
        if cut == part.length:
            continue
        if isinstance(part, GivenBytes):
            yield GivenBytes(part.content[cut:])
        elif isinstance(part, FileRange):
            yield FileRange(part.path, part.offset + cut, part.length - cut)
        else:
            yield Zeros(part.length - cut)
