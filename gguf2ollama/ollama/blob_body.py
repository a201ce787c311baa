"""The body of a request that uploads a blob."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import InvalidInput
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ollama.sendfile import BlobPiece, cut, read_piece, send_piece, total

__all__ = ["PiecesBody", "body", "opener"]

_CHUNK = 256 << 10
_STEP = 4 << 20  # bytes that the system copies between two reports


def opener(source: Path | Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
    """Return what opens the source, from its start, each time it is called."""
    if not isinstance(source, Path):
        return source

    def open_file() -> BinaryIO:
        with disk_errors(source):
            return source.open("rb")

    return open_file


def body(open_source: Callable[[], BinaryIO], *, size: int, task: str, progress: Progress) -> Iterator[bytes]:
    """Read the source in chunks and report what was read.

    Raises:
        InvalidInput: It has more or fewer bytes than ``size``.
    """
    done = 0
    progress(Update(task=task, done=0, total=size))
    with open_source() as stream:
        while piece := stream.read(_CHUNK):
            if done + len(piece) > size:
                raise _changed(task, size)
            yield piece
            done += len(piece)
            progress(Update(task=task, done=done, total=size))
    if done < size:
        raise _changed(task, size)


class PiecesBody:
    """A body of pieces of files, which the system can copy into a socket by itself.

    Args:
        pieces: Its bytes, in order.
        task: What progress and errors call it.
        progress: Called with the bytes sent.
    """

    def __init__(self, pieces: Sequence[BlobPiece], *, task: str, progress: Progress) -> None:
        self._pieces = pieces
        self._size = total(pieces)
        self._task = task
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        """Read it in pieces, where it has to pass through this process.

        Raises:
            InvalidInput: A file has become shorter.
            NotFound: A file is gone.
        """
        self._report(0)
        for start, step in self._steps(_CHUNK):
            for piece in step:
                content = read_piece(piece)
                self._require(len(content), piece)
                yield content
            self._report(start + total(step))

    def send_over(self, connection: socket.socket) -> None:
        """Send it over a connection.

        Raises:
            InvalidInput: A file has become shorter.
            NotFound: A file is gone.
            OSError: The connection was lost.
        """
        self._report(0)
        for start, step in self._steps(_STEP):
            for piece in step:
                self._require(send_piece(connection, piece), piece)
            self._report(start + total(step))

    def _steps(self, step: int) -> Iterator[tuple[int, list[BlobPiece]]]:
        for start in range(0, self._size, step):
            yield start, list(cut(self._pieces, start=start, end=min(start + step, self._size)))

    def _report(self, done: int) -> None:
        self._progress(Update(task=self._task, done=done, total=self._size))

    def _require(self, count: int, piece: BlobPiece) -> None:
        if count < total((piece,)):
            raise _changed(self._task, self._size)


def _changed(task: str, size: int) -> InvalidInput:
    return InvalidInput(
        f"{task} failed: the file changed, it no longer has {size:,} bytes",
        hint="wait until nothing writes to it, then run the same command again",
    )
