"""Contents of a blob: bytes, and ranges of files that the system copies into a socket (``sendfile``)."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.fs.errors import disk_errors

__all__ = ["BlobPiece", "FilePiece", "cut", "read_piece", "send_piece", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePiece:
    """A range of a file that is part of a blob.

    Attributes:
        path: The file.
        offset: Where it begins in the file.
        length: Its length in bytes.
    """

    path: Path
    offset: int
    length: int


BlobPiece: TypeAlias = FilePiece | bytes


def total(pieces: Sequence[BlobPiece]) -> int:
    """Return the bytes of all pieces together."""
    return sum(map(_length, pieces))


def cut(pieces: Sequence[BlobPiece], *, start: int, end: int) -> Iterator[BlobPiece]:
    """Return what of the pieces lies from byte ``start`` to byte ``end`` of the blob."""
    position = 0
    for piece in pieces:
        length = _length(piece)
        low, high = max(start - position, 0), min(end - position, length)
        position += length
        if low >= high:
            continue
        if isinstance(piece, bytes):
            yield piece[low:high]
        else:
            yield FilePiece(path=piece.path, offset=piece.offset + low, length=high - low)


def send_piece(connection: socket.socket, piece: BlobPiece) -> int:
    """Send a piece and return the bytes sent: fewer if its file has become shorter.

    Those of a file are copied by the system itself, where it can (``sendfile``).

    Raises:
        NotFound: The file no longer exists.
        OSError: The connection was lost.
    """
    if isinstance(piece, bytes):
        connection.sendall(piece)
        return len(piece)
    with _open(piece) as file:
        return connection.sendfile(file, offset=piece.offset, count=piece.length)


def read_piece(piece: BlobPiece) -> bytes:
    """Return the bytes of a piece: fewer where its file has become shorter.

    Raises:
        NotFound: The file no longer exists.
    """
    if isinstance(piece, bytes):
        return piece
    with _open(piece) as file, disk_errors(piece.path):
        file.seek(piece.offset)
        return file.read(piece.length)


def _open(piece: FilePiece) -> BinaryIO:
    with disk_errors(piece.path):
        return piece.path.open("rb")


def _length(piece: BlobPiece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.length
