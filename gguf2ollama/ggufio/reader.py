"""Open a GGUF: read and validate its header, and nothing else of the file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and gguf.h; what llama.cpp and Ollama
accept: gguf.cpp, and Ollama's fs/gguf.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidGguf, NotFound, UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ggufio.cursor import CONVERT, CUT, DAMAGED, Cursor
from gguf2ollama.ggufio.metadata import LEAST_KEY_BYTES, MAX_KEYS, Entry, Metadata, read_entries
from gguf2ollama.ggufio.sniff import HEAD_BYTES, describe_stranger
from gguf2ollama.ggufio.tensors import (
    DEFAULT_ALIGNMENT,
    LEAST_TENSOR_BYTES,
    MAX_TENSORS,
    TensorInfo,
    align,
    check_layout,
    read_tensors,
)
from gguf2ollama.ggufio.values import ByteOrder, ValueType

if TYPE_CHECKING:
    from typing import Self

__all__ = ["SPLIT_KEYS", "GgufFile", "SplitInfo", "open_gguf"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)

SPLIT_KEYS = {
    "split.no": ValueType.UINT16,
    "split.count": ValueType.UINT16,
    "split.tensors.count": ValueType.INT32,
}
"""Keys of a shard with the types that llama.cpp requires, in the order of ``llama-gguf-split``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitInfo:
    """The position of a shard in its set (``split.*`` of llama.cpp).

    Attributes:
        no: Its index in the set, from 0.
        count: The number of shards in the set, at least 1.
        tensors_count: The number of tensors in all shards.
    """

    no: int
    count: int
    tensors_count: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GgufFile:
    """The validated header of a GGUF. It holds no open file, so it need not be closed.

    Attributes:
        name: The name of the file for errors: its path, or the given name.
        path: Its path; ``None`` if it was read from a stream.
        version: 2 or 3.
        byte_order: The byte order of all numbers, including those of the tensors.
        alignment: Bytes to which the data section and each tensor's data are aligned.
        size: Bytes of the file.
        metadata: Keys and values.
        tensors: In the order of the header.
        data_offset: The offset of the data section, in bytes from the start of the file.
        split: Its position in a set of shards; ``None`` for a complete file. A file that
            ``llama-gguf-split`` merged keeps ``split.*`` with a count of 0, and is complete.
        modified_ns: Its modification time, in nanoseconds since the epoch, to notice later that it
            has changed; ``None`` if it was read from a stream.
    """

    name: str
    path: Path | None
    version: int
    byte_order: ByteOrder
    alignment: int
    size: int
    metadata: Metadata
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    split: SplitInfo | None
    modified_ns: int | None
    _by_name: Mapping[str, TensorInfo] = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: the file is closed once its header is read."""

    def tensor(self, name: str) -> TensorInfo:
        """Return the tensor with a name.

        Raises:
            NotFound: The file has none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise NotFound(f"{self.name}: no tensor {name!r}") from None


def open_gguf(source: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> GgufFile:
    """Read and validate the header of a GGUF, version 2 or 3, little or big endian.

    Reads in chunks of 1 MiB and at most one chunk beyond the header; tensor data is not read. Arrays stay
    undecoded. The checks cover every rule of the format, with limits before anything is allocated, and that
    all tensors are within the file and do not overlap.

    Args:
        source: A path, or a seekable binary stream, which is read from its start and left open.
        name: The name for errors; by default its path.

    Raises:
        InvalidGguf: It is not a GGUF file, or violates a rule of the format.
        NotFound: The path does not exist.
        UsageProblem: The path is a folder or a device, is not readable, or the stream is not seekable.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        with disk_errors(path):
            _require_regular(path)
            with path.open("rb", buffering=0) as stream:
                modified_ns = os.fstat(stream.fileno()).st_mtime_ns
                return _read(stream, name=name or str(path), path=path, modified_ns=modified_ns)
    if not source.seekable():
        raise UsageProblem(f"cannot read {name or source!r}: the stream is not seekable")
    stream_name = getattr(source, "name", None)
    name = name or (stream_name if isinstance(stream_name, str) else "stream")
    return _read(source, name=name, path=None, modified_ns=None)


def _require_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageProblem(f"{path} is a directory, not a GGUF file", hint="name a file in it")
    if not stat.S_ISREG(mode):
        raise UsageProblem(f"{path} is a device or a pipe, not a GGUF file", hint="save it to a file first")


def _read(stream: BinaryIO, *, name: str, path: Path | None, modified_ns: int | None) -> GgufFile:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size == 0:
        raise InvalidGguf(f"{name}: the file is empty", hint=CUT)
    cursor = Cursor(stream, name=name, size=size)
    version = _read_version(cursor)
    tensor_count = _read_count(cursor, "tensors", limit=MAX_TENSORS, least_bytes=LEAST_TENSOR_BYTES)
    key_count = _read_count(cursor, "keys", limit=MAX_KEYS, least_bytes=LEAST_KEY_BYTES)
    entries = read_entries(cursor, key_count)
    tensors = read_tensors(cursor, tensor_count)
    metadata = Metadata(cursor.take_header(), entries, cursor.order)
    alignment = _read_alignment(cursor, metadata, entries)
    data_offset = align(cursor.position, alignment)
    check_layout(cursor, tensors.values(), data_offset=data_offset, alignment=alignment)
    return GgufFile(
        name=name,
        path=path,
        version=version,
        byte_order=cursor.order,
        alignment=alignment,
        size=size,
        metadata=metadata,
        tensors=tuple(tensors.values()),
        data_offset=data_offset,
        split=_read_split(cursor, metadata, entries),
        modified_ns=modified_ns,
        _by_name=tensors,
    )


def _read_version(cursor: Cursor) -> int:
    """Check the magic; return the version, and set the byte order."""
    head = cursor.peek(HEAD_BYTES)
    if not head.startswith(MAGIC) and not MAGIC.startswith(head):
        problem, hint = describe_stranger(head)
        raise InvalidGguf(f"{cursor.name} is not a GGUF file: {problem}", hint=hint)
    at = cursor.skip(len(MAGIC)) + len(MAGIC)
    raw = cursor.raw(4)
    little, big = int.from_bytes(raw, "little"), int.from_bytes(raw, "big")
    if big < little:
        cursor.order = "big"
    version = min(little, big)
    if version in VERSIONS:
        return version
    of = "" if cursor.order == "little" else " (big endian)"
    if version < min(VERSIONS):
        raise cursor.error(
            f"GGUF version {version}{of} is no longer supported by llama.cpp",
            at=at,
            hint=CONVERT,
        )
    raise cursor.error(
        f"unsupported GGUF version {version}{of}; the newest supported is {max(VERSIONS)}",
        at=at,
        hint="update gguf2ollama, or get a GGUF of version 3",
    )


def _read_count(cursor: Cursor, what: str, *, limit: int, least_bytes: int) -> int:
    at = cursor.position
    count = cursor.uint64()
    if count * least_bytes > cursor.size - cursor.position:
        raise cursor.error(
            f"{count:,} {what} do not fit into a file of {cursor.size:,} bytes", at=at, hint=DAMAGED
        )
    if count > limit:
        raise cursor.error(f"{count:,} {what} exceed the limit of {limit:,}", at=at, hint=DAMAGED)
    return count


def _read_alignment(cursor: Cursor, metadata: Metadata, entries: Mapping[str, Entry]) -> int:
    key = "general.alignment"
    if key not in entries:
        return DEFAULT_ALIGNMENT
    cursor.section, cursor.label = "key", key
    at = entries[key].start
    if entries[key].type is not ValueType.UINT32:
        raise cursor.error(f"expected type UINT32, found {entries[key].type.name}", at=at, hint=DAMAGED)
    alignment = metadata[key]
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.error(f"alignment {alignment} is not a power of two", at=at, hint=DAMAGED)
    return alignment


def _read_split(cursor: Cursor, metadata: Metadata, entries: Mapping[str, Entry]) -> SplitInfo | None:
    numbers: dict[str, int] = {}
    for key, kind in SPLIT_KEYS.items():
        if key not in entries:
            continue
        cursor.section, cursor.label = "key", key
        found = entries[key].type
        value = metadata[key]
        if found is not kind or not isinstance(value, int):
            raise cursor.error(
                f"expected type {kind.name}, found {found.name}", at=entries[key].start, hint=DAMAGED
            )
        numbers[key] = value
    count = numbers.get("split.count", 0)
    if count == 0:
        return None
    at = entries["split.count"].start
    cursor.label = "split.count"
    for key in SPLIT_KEYS:
        if key not in numbers:
            raise cursor.error(f"{key} is missing", at=at, hint=DAMAGED)
    no = numbers["split.no"]
    if no >= count:
        raise cursor.error(f"shard number out of range: {no + 1:,} of {count:,}", at=at, hint=DAMAGED)
    return SplitInfo(no=no, count=count, tensors_count=numbers["split.tensors.count"])
