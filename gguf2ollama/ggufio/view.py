"""The merged file of a set of shards, without writing it: a new header, and ranges of the shards.

The bytes are those that ``llama-gguf-split --merge`` writes (tools/gguf-split/gguf-split.cpp and
ggml/src/gguf.cpp of llama.cpp): version 3; the keys of the first shard, ``split.count`` set to 0 and so moved
to the end; all tensors in order, each padded with zeros. They differ only where that tool damages a file: it
pads to 32 bytes whatever ``general.alignment`` says, and it cuts a string at a NUL byte.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama._atomic import atomic_file
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio.assembly import Shard
from gguf2ollama.ggufio.copying import Meter, copy_ranges, open_unchanged, refuse_inputs, write_all
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Range, Zeros, coalesce, tensor_ranges
from gguf2ollama.ggufio.reader import SPLIT_KEYS
from gguf2ollama.ggufio.shards import ShardSet
from gguf2ollama.ggufio.stream import RangeStream
from gguf2ollama.ggufio.values import ValueType
from gguf2ollama.ggufio.writer import TypedValue, encode_entry, encode_header, lay_out, normalized
from gguf2ollama.progress import Progress, ignore

__all__ = ["MergedView", "SplitKeys", "merge"]

SplitKeys: TypeAlias = Literal["keep", "drop"]

_CHUNK_BYTES = 1 << 20


class MergedView:
    """One file made of all shards of a set, to be read, hashed, served or written. A whole file is itself.

    Args:
        shards: The set.
        split_keys: ``"keep"`` gives what ``llama-gguf-split --merge`` writes; ``"drop"`` leaves ``split.*``
            out, and so gives back, byte for byte, a file that llama.cpp wrote and that was then split.
    """

    def __init__(self, shards: ShardSet, *, split_keys: SplitKeys = "keep") -> None:
        self._name = f"{shards.name}.gguf"
        self._header = b""
        self._parts: list[tuple[Shard, list[FileRange | Zeros]]]
        if shards.first.split is None:
            (whole,) = shards.shards
            self._parts = [(whole, [FileRange(whole.path, 0, whole.size)])]
        else:
            self._header = _merged_header(shards, split_keys)
            alignment = shards.first.alignment
            self._parts = [
                (shard, tensor_ranges(shard, shard.gguf.tensors, alignment=alignment))
                for shard in shards.shards
            ]
        self._ranges = tuple(
            coalesce([GivenBytes(self._header), *(each for _, ranges in self._parts for each in ranges)])
        )

    @property
    def size(self) -> int:
        """Bytes of the merged file."""
        return sum(each.length for each in self._ranges)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is made of, in order."""
        return tuple(shard.path for shard, _ in self._parts)

    def ranges(self) -> tuple[Range, ...]:
        """Give what the file is made of, in order; ranges of one shard that adjoin are one."""
        return self._ranges

    def open(self) -> io.BufferedReader:
        """Open the merged file as a seekable stream to read from; each call gives a stream of its own.

        Reading raises ``InvalidGguf`` when a shard was changed since its header was read.
        """
        sources = {shard.path: shard.gguf for shard, _ in self._parts}
        return io.BufferedReader(RangeStream(self._ranges, sources), _CHUNK_BYTES)

    def sha256(self, progress: Progress = ignore) -> str:
        """Hash the merged file; give 64 hexadecimal digits.

        Raises:
            InvalidGguf: A shard was changed since its header was read.
        """
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        meter = Meter(f"hashing {self._name}", self.size, progress)
        with self.open() as stream:
            while count := stream.readinto(buffer):
                digest.update(buffer[:count])
                meter(count)
        return digest.hexdigest()

    def copy_to(
        self, target: str | os.PathLike[str], *, replace: bool = False, progress: Progress = ignore
    ) -> Path:
        """Write the merged file; it appears under its name when all of it is there.

        Raises:
            InvalidGguf: A shard was changed since its header was read.
            NotEnoughSpace: The disk has less room than is needed.
            NotFound: The folder of the target is not there.
            UsageProblem: The target is there and ``replace`` is false, or it is one of the shards.
        """
        path = Path(target)
        refuse_inputs(path, (shard.path for shard, _ in self._parts))
        meter = Meter(f"writing {path.name}", self.size, progress)
        with atomic_file(path, replace=replace, size=self.size) as stream:
            write_all(stream, self._header)
            meter(len(self._header))
            for shard, ranges in self._parts:
                with open_unchanged(shard.path, shard.gguf) as source:
                    copy_ranges(source, ranges, stream, meter)
        return path


def merge(
    shards: ShardSet,
    target: str | os.PathLike[str],
    *,
    replace: bool = False,
    split_keys: SplitKeys = "keep",
    progress: Progress = ignore,
) -> Path:
    """Write the shards of a set into one file, by default with the bytes of ``llama-gguf-split --merge``.

    Args:
        shards: The set.
        target: The file to write.
        replace: Whether a file that is there may be replaced.
        split_keys: As :class:`MergedView` takes them.
        progress: Told the bytes written.

    Raises:
        InvalidGguf: A shard was changed since its header was read.
        NotEnoughSpace: The disk has less room than is needed.
        NotFound: The folder of the target is not there.
        UsageProblem: The set is one whole file; the target is there and ``replace`` is false; or it is one
            of the shards.
    """
    if shards.first.split is None:
        raise UsageProblem(f"{shards.first.name} is whole, there is nothing to merge", hint="use it as it is")
    return MergedView(shards, split_keys=split_keys).copy_to(target, replace=replace, progress=progress)


def _merged_header(shards: ShardSet, split_keys: SplitKeys) -> bytes:
    first = shards.first
    entries = [
        first.metadata.raw(key)
        for key in first.metadata
        if key != "split.count" and not (split_keys == "drop" and key in SPLIT_KEYS)
    ]
    if split_keys == "keep":
        none = TypedValue(ValueType.UINT16, 0)
        entries.append(encode_entry("split.count", none, byte_order=first.byte_order))
    return encode_header(
        entries,
        lay_out(map(normalized, shards.tensors), alignment=first.alignment),
        byte_order=first.byte_order,
        version=3,
        alignment=first.alignment,
    )
