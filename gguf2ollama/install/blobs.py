"""Send the weights of a model to a server, each layer as soon as its digest is known."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput, ServerProblem, ServerRefused, UsageProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.ggufio import FileRange, GivenBytes
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.parallel import run_parallel
from gguf2ollama.install.preflight import is_store_of
from gguf2ollama.install.stores import known_stores
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.sendfile import BlobPiece, FilePiece
from gguf2ollama.ollama.store import BlobRecords, LocalStore
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
    client: Client,
    layers: Sequence[Weights],
    *,
    hashing: Hashing,
    progress: Progress,
    notify: Callable[[str], None],
) -> SentWeights:
    """Upload layers as blobs.

    A layer that the server has is not sent, unless its blob is seen on this machine to be damaged. What was
    sent stays there at least until the server's next start, even if the model is never made.

    Args:
        client: The server.
        layers: The layers.
        hashing: Finds their digests.
        progress: Called with the bytes sent, from several threads.
        notify: Called with a line for each damaged blob.

    Raises:
        FileChanged: A file has changed since its header was read.
        NotEnoughSpace: The server's disk is full.
        ServerProblem: The server cannot be reached, or refuses, or has a damaged blob of another user.
    """
    hashing.prioritise_in_order()

    def send(layer: Weights, check: Callable[[], None]) -> tuple[Digest, bool]:
        digest = hashing.digest(layer, check=check)

        def report(update: Update) -> None:
            check()
            progress(update)

        _discard_damaged(client, layer, digest, records=hashing.cache, progress=report, notify=notify)
        try:
            is_sent = client.upload_blob(
                blob_pieces(layer), digest=digest, size=layer.size, label=layer.name, progress=report
            )
        except (InvalidInput, ServerProblem):
            layer.require_unchanged()  # the server can only report a wrong digest
            raise
        return digest, is_sent

    sent = run_parallel(send, layers, most=_UPLOADS)
    hashing.cache.save()
    return SentWeights(
        digests={layer.name: digest for layer, (digest, _) in zip(layers, sent, strict=True)},
        existing=frozenset(digest for digest, is_sent in sent if not is_sent),
    )


def _discard_damaged(
    client: Client,
    layer: Weights,
    digest: Digest,
    *,
    records: BlobRecords,
    progress: Progress,
    notify: Callable[[str], None],
) -> None:
    """Remove the blob of a layer where the server's model directory is on this machine and it is damaged.

    A server believes every blob that it has.
    """
    if not client.address.is_loopback:
        return
    source = layer.shards[0].path if layer.is_file else None
    for found in known_stores(os.environ):
        store = LocalStore(found.root, records)
        blob, is_damaged = store.blob_path(digest), False
        with contextlib.suppress(OSError, UsageProblem):  # of another user, whose server has to be believed
            is_damaged = blob.is_file() and (
                store.check_blob(digest, size=layer.size, source=source, progress=progress) == "damaged"
            )
        if not is_damaged or not is_store_of(client, store):
            continue
        if not store.is_writable:
            raise ServerRefused(
                f"the server has a damaged copy of {layer.name}: {blob}",
                hint=f"delete {blob}, then build again",
            )
        notify(f"{layer.name}: the server has a damaged copy, which is replaced")
        store.discard(digest)


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
