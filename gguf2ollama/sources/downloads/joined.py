"""Files that publishers cut into pieces: read as one where they are, and joined once they are downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import FileChanged
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.sharing import copy_range
from gguf2ollama.fs.streams import SeekableStream
from gguf2ollama.sources.catalogue.gguf_files import Variant

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["JoinedReader", "join_pieces"]


class JoinedReader(SeekableStream):
    """The bytes of several streams, one after the other; each is opened when it is first needed.

    Args:
        sizes: The bytes of each.
        open_piece: Opens the stream of that number, from 0.
    """

    def __init__(self, sizes: Sequence[int], open_piece: Callable[[int], io.RawIOBase]) -> None:
        super().__init__()
        self._ends = list(itertools.accumulate(sizes))
        self._open = open_piece
        self._pieces: dict[int, io.RawIOBase] = {}

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return self._ends[-1]

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from the piece at the position; return 0 at the end of the last."""
        number = next((number for number, end in enumerate(self._ends) if self._position < end), None)
        if number is None:
            return 0
        if number not in self._pieces:
            self._pieces[number] = self._open(number)
        piece = self._pieces[number]
        start = self._ends[number - 1] if number else 0
        piece.seek(self._position - start)
        target = memoryview(buffer).cast("B")[: self._ends[number] - self._position]
        count = piece.readinto(target) or 0
        if not count and target:
            raise FileChanged("a piece is shorter than its site says", hint="run the same command again")
        self._position += count
        return count

    def close(self) -> None:
        """Close all pieces."""
        with contextlib.ExitStack() as pieces:
            for piece in self._pieces.values():
                pieces.callback(piece.close)
        super().close()


def join_pieces(variant: Variant, pieces: Sequence[Path], *, progress: Progress) -> Path:
    """Join downloaded pieces into one file, in the user's cache folder; one that was joined before is kept.

    Args:
        variant: What they are pieces of.
        pieces: Their paths, in order.
        progress: Called with the bytes written.

    Raises:
        NotEnoughSpace: The disk has too little space.
    """
    identity = repr([(file.path, file.size, file.sha256 or file.git_oid) for file in variant.files])
    name = f"{posixpath.basename(variant.name)}.gguf"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = (cache_folder() or pieces[0].parent) / "joined" / key
    target = folder / name
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == variant.n_bytes:
            return target
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(Update(task=f"joining {name}", done=done, total=variant.n_bytes))

    with atomic_file(target, size=variant.n_bytes) as stream:
        for piece in pieces:
            with disk_errors(piece), piece.open("rb", buffering=0) as source:
                copy_range(source, stream, offset=0, length=source.seek(0, io.SEEK_END), report=report)
    return target
