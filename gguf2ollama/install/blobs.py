"""Send the weights of a model to a server, each layer as soon as its digest is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput, ServerProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.ggufio import FileRange, GivenBytes
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.parallel import run_parallel
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.sendfile import BlobPiece, FilePiece
from gguf2ollama.planning.layers import Weights

__all__ = ["SentWeights", "blob_pieces", "send_weights"]

_UPLOADS = 4  # in parallel; the server hashes each on one core


@dataclass(frozen=True, slots=True, kw_only=True)
class SentWeights:
    """Layers that a server has as blobs.

    Attributes:
        digests: The digest of each by its name.
        existing: Those that the server had already. It does not verify a blob that it has.
    """

    digests: Mapping[str, Digest]
    existing: frozenset[Digest]


def send_weights(
    client: Client, layers: Sequence[Weights], *, hashing: Hashing, progress: Progress
) -> SentWeights:
    """Upload layers as blobs.

    A layer that the server has is not sent. What was sent stays there at least until the server's next start,
    even if the model is never made.

    Args:
        client: The server.
        layers: The layers.
        hashing: Finds their digests.
        progress: Called with the bytes sent, from several threads.

    Raises:
        FileChanged: A file has changed since its header was read.
        NotEnoughSpace: The server's disk is full.
        ServerProblem: The server cannot be reached, or refuses.
    """
    hashing.prioritise_in_order()

    def send(layer: Weights, check: Callable[[], None]) -> tuple[Digest, bool]:
        digest = hashing.digest(layer, check=check)

        def report(update: Update) -> None:
            check()
            progress(update)

        try:
            is_sent = client.upload_blob(
                blob_pieces(layer), digest=digest, size=layer.size, label=layer.name, progress=report
            )
        except (InvalidInput, ServerProblem):
            layer.require_unchanged()  # the server can only report a wrong digest
            raise
        return digest, is_sent

    sent = run_parallel(send, layers, most=_UPLOADS)
    return SentWeights(
        digests={layer.name: digest for layer, (digest, _) in zip(layers, sent, strict=True)},
        existing=frozenset(digest for digest, is_sent in sent if not is_sent),
    )


def blob_pieces(layer: Weights) -> tuple[BlobPiece, ...]:
    """Return the pieces of a layer of weights in order; nothing is read."""
    return tuple(_pieces(layer))


def _pieces(layer: Weights) -> Iterator[BlobPiece]:
    for piece in layer.ranges:
        if isinstance(piece, FileRange):
            yield FilePiece(path=piece.path, offset=piece.offset, length=piece.length)
        elif isinstance(piece, GivenBytes):
            yield piece.content
        else:
            yield bytes(piece.length)
