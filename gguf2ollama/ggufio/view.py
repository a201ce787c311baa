"""A file made of a new header and ranges of other files: to be read, hashed, served or written.

:class:`PatchedView` is a file with another header; a merged one is in ``merging``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.resumable import resumable_file
from gguf2ollama.ggufio.copying import Meter, refuse_inputs, write_ranges
from gguf2ollama.ggufio.patching import HeaderPatch
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Range, Zeros, coalesce, cut_front
from gguf2ollama.ggufio.reader import GgufFile, open_gguf
from gguf2ollama.ggufio.shard_files import Shard
from gguf2ollama.ggufio.stream import RangeStream
from gguf2ollama.ggufio.writer import encode_header

__all__ = ["FileView", "Parts", "PatchedView", "patched_parts"]

_CHUNK_BYTES = 1 << 20
_COMPARED_BYTES = 64 << 20  # at the end of a partial file: what a failing disk loses first
Parts: TypeAlias = "Sequence[tuple[Shard, Sequence[FileRange | Zeros]]]"


class FileView:
    """A file that consists of a header and ranges of other files, to be read, hashed, served or written.

    Args:
        name: Its name.
        header: Its first bytes, which are in no file.
        parts: The files of the rest, each with its ranges, in order.
    """

    def __init__(self, *, name: str, header: bytes, parts: Parts) -> None:
        self._name = name
        self._header = header
        self._parts = parts
        self._ranges = tuple(
            coalesce([GivenBytes(self._header), *(part for _, ranges in self._parts for part in ranges)])
        )

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return sum(part.length for part in self._ranges)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it consists of, in order."""
        return tuple(shard.path for shard, _ in self._parts)

    def ranges(self) -> tuple[Range, ...]:
        """Return the ranges of the file in order; adjacent ranges of one file are joined."""
        return self._ranges

    def header(self) -> GgufFile:
        """Read and validate the header of the file.

        If it is a new one, the files are not read, and need not exist.

        Raises:
            InvalidGguf: It violates a rule of the format, or a file has changed since its header was read.
        """
        if not self._header:
            with self.open() as stream:
                return open_gguf(stream, name=self._name)
        ranges = [Zeros(part.length) if isinstance(part, FileRange) else part for part in self._ranges]
        with io.BufferedReader(RangeStream(ranges, {})) as stream:
            return open_gguf(stream, name=self._name)

    def open(self) -> io.BufferedReader:
        """Open it as a seekable binary stream; each call returns a new stream.

        Reading raises ``FileChanged`` if a file has changed since its header was read.
        """
        sources = {shard.path: shard.gguf for shard, _ in self._parts}
        return io.BufferedReader(RangeStream(self._ranges, sources), _CHUNK_BYTES)

    def sha256(self, progress: Progress = ignore) -> str:
        """Return its sha256: 64 hexadecimal digits.

        Raises:
            FileChanged: A file has changed since its header was read.
        """
        import hashlib  # noqa: PLC0415 - slow to import, and a view is mostly for other things

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
        """Write it atomically.

        After a kill, the same call resumes the file, unless the system has been rebooted;
        the end of the partial file is compared first. A new file reaches the disk when the system writes it
        back, as with ``cp``, since the other files still exist; one that replaces another is on disk (fsync)
        before the rename.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotEnoughSpace: The disk has too little free space.
            NotFound: The folder of the target does not exist.
            UsageProblem: The target exists and ``replace`` is false, or it is one of the files.
        """
        path = Path(target)
        refuse_inputs(path, self.paths)
        meter = Meter(f"writing {path.name}", self.size, progress)
        sources = {shard.path: shard.gguf for shard, _ in self._parts}
        opened = resumable_file(path, identity=self._identity(), size=self.size, replace=replace)
        with opened as (stream, found):
            done = found if self._ends_with(stream, found) else 0
            if done < found:
                stream.truncate(stream.seek(0))
            meter(done)
            write_ranges(stream, cut_front(self._ranges, done), sources, report=meter)
        return path

    def _identity(self) -> bytes:
        """Return bytes that identify the contents: the header, and the versions of the other files."""
        states = []
        for shard, _ in self._parts:
            with disk_errors(shard.path):
                found = shard.path.stat()
            states.append((found.st_dev, found.st_ino, shard.gguf.size, shard.gguf.modified_ns))
        return repr(states).encode() + self._header

    def _ends_with(self, part: BinaryIO, done: int) -> bool:
        """Return whether the end of a partial file of ``done`` bytes is correct."""
        if not done:
            return True
        start = part.seek(max(done - _COMPARED_BYTES, 0))
        with self.open() as wanted:
            wanted.seek(start)
            steps = (min(_CHUNK_BYTES, done - position) for position in range(start, done, _CHUNK_BYTES))
            return all(part.read(step) == wanted.read(step) for step in steps)


class PatchedView(FileView):
    """One file, complete or a shard, with another header. Its tensors are unchanged, byte by byte.

    An empty patch results in the file itself; for files as llama.cpp and we write them, so does one that sets
    a key to its current value.

    Raises:
        UsageProblem: A value does not fit its type.
    """

    def __init__(self, shard: Shard, patch: HeaderPatch) -> None:
        header, parts = patched_parts(shard, patch)
        super().__init__(name=shard.path.name, header=header, parts=parts)


def patched_parts(shard: Shard, patch: HeaderPatch) -> tuple[bytes, Parts]:
    """Return the header of a file with changed keys, and the rest of the file."""
    gguf = shard.gguf
    if not patch:
        return b"", [(shard, [FileRange(shard.path, 0, shard.size)])]
    header = encode_header(
        list(patch.entries(gguf).values()),
        gguf.tensors,
        byte_order=gguf.byte_order,
        version=gguf.version,
        alignment=gguf.alignment,
    )
    start = min(gguf.data_offset, shard.size)  # without tensors, a file may end before that
    return header, [(shard, [FileRange(shard.path, start, shard.size - start)])]
