"""Files that publishers cut into pieces: read as one where they are, and joined when they are needed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
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

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["JoinedReader", "join_pieces", "joined_folder", "remove_joined", "write_joined"]


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
            raise FileChanged("a piece is shorter than it was", hint="run the same command again")
        self._position += count
        return count

    def close(self) -> None:
        """Close all pieces."""
        with contextlib.ExitStack() as pieces:
            for piece in self._pieces.values():
                pieces.callback(piece.close)
        super().close()


def join_pieces(name: str, pieces: Sequence[Path], *, identity: Sequence[object], progress: Progress) -> Path:
    """Join pieces into one file, in the user's cache folder; one that an earlier build left is kept.

    Args:
        name: The file's name.
        pieces: The paths of its pieces, in order.
        identity: What tells this content from others, such as the digests of the pieces.
        progress: Called with the bytes written.

    Raises:
        NotEnoughSpace: The disk has too little space.
    """
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    target = joined_folder(pieces[0]) / key / name
    n_bytes = sum(piece.stat().st_size for piece in pieces)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == n_bytes:
            return target
    write_joined(target, pieces, progress=progress)
    return target


def write_joined(target: Path, pieces: Sequence[Path], *, progress: Progress, replace: bool = True) -> None:
    """Write pieces into one file: whole, or not at all.

    Args:
        target: The file.
        pieces: The paths of its pieces, in order.
        progress: Called with the bytes written.
        replace: Whether an existing file is overwritten.

    Raises:
        NotEnoughSpace: The disk has too little space.
        UsageProblem: The file exists, and is not to be overwritten.
    """
    n_bytes, done = sum(piece.stat().st_size for piece in pieces), 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(Update(task=f"joining {target.name}", done=done, total=n_bytes))

    with atomic_file(target, size=n_bytes, replace=replace) as stream:
        for piece in pieces:
            with disk_errors(piece), piece.open("rb", buffering=0) as source:
                copy_range(source, stream, offset=0, length=source.seek(0, io.SEEK_END), report=report)


def joined_folder(piece: Path) -> Path:
    """Return the folder of joined files: in the user's cache, or beside a piece if there is none."""
    return (cache_folder() or piece.parent) / "joined"


def remove_joined(path: Path) -> None:
    """Remove a file that was joined, once it is in Ollama: its pieces are still there."""
    with disk_errors(path):
        path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):  # that of other files is not empty
        with contextlib.suppress(OSError):
            folder.rmdir()
