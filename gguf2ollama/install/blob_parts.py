"""The bytes of a layer as a server is sent them."""

from __future__ import annotations

from collections.abc import Iterator

from gguf2ollama.ggufio import FileRange, GivenBytes
from gguf2ollama.ollama.sendfile import BlobPiece, FilePiece
from gguf2ollama.planning.layers import Weights

__all__ = ["pieces_of"]


def pieces_of(layer: Weights) -> tuple[BlobPiece, ...]:
    """Return the pieces of a layer of weights, in order; nothing is read."""
    return tuple(_pieces(layer))


def _pieces(layer: Weights) -> Iterator[BlobPiece]:
    for piece in layer.ranges:
        if isinstance(piece, FileRange):
            yield FilePiece(path=piece.path, offset=piece.offset, length=piece.length)
        elif isinstance(piece, GivenBytes):
            yield piece.content
        else:
            yield bytes(piece.length)
