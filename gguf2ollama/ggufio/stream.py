"""Read ranges of files as one file."""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import FileChanged
from gguf2ollama.fs.sharing import CHANGED
from gguf2ollama.fs.streams import SeekableStream
from gguf2ollama.ggufio.copying import open_unchanged
from gguf2ollama.ggufio.ranges import GivenBytes, Range, Zeros
from gguf2ollama.ggufio.reader import GgufFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["RangeStream"]


class RangeStream(SeekableStream):
    """Consecutive ranges as one seekable file; at most one file is open at a time."""

    def __init__(self, ranges: Sequence[Range], sources: Mapping[Path, GgufFile]) -> None:
        super().__init__()
        self._ranges = ranges
        self._sources = sources
        self._ends = list(itertools.accumulate(part.length for part in ranges))
        self._size = self._ends[-1] if self._ends else 0
        self._path: Path | None = None
        self._file: io.FileIO | None = None
        self._opened = contextlib.ExitStack()

    @property
    def size(self) -> int:
        """Bytes of all ranges."""
        return self._size

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer; return fewer bytes at the end only.

        Raises:
            FileChanged: A file has changed since its header was read.
        """
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._position < self._size:
            index = bisect.bisect_right(self._ends, self._position)
            left = self._ends[index] - self._position
            window = target[filled : filled + left]
            self._read(self._ranges[index], self._ranges[index].length - left, window)
            filled += len(window)
            self._position += len(window)
        return filled

    def close(self) -> None:
        """Close the file that is open."""
        self._file = self._path = None
        try:
            self._opened.close()
        finally:
            super().close()

    def _read(self, source: Range, skip: int, window: memoryview) -> None:
        """Fill the window with the bytes of a range from ``skip`` on."""
        if isinstance(source, GivenBytes):
            window[:] = source.content[skip : skip + len(window)]
        elif isinstance(source, Zeros):
            window[:] = bytes(len(window))
        else:
            file = self._open(source.path)
            file.seek(source.offset + skip)
            while window:
                count = file.readinto(window)
                if not count:
                    raise FileChanged(f"{source.path} was truncated while it was being read", hint=CHANGED)
                window = window[count:]

    def _open(self, path: Path) -> io.FileIO:
        if self._file is None or path != self._path:
            self._file = None
            self._opened.close()
            self._file = self._opened.enter_context(open_unchanged(path, self._sources[path]))
            self._path = path
        return self._file
