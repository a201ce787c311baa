"""Send the weights of a model to a server, each layer as soon as its digest is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gguf2ollama.errors import InvalidInput, ServerProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.install.blob_parts import pieces_of
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.parallel import at_once
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import Weights

__all__ = ["send_weights"]

_UPLOADS = 4  # at the same time; the server hashes each on one core


def send_weights(
    client: Client, layers: Sequence[Weights], *, hashing: Hashing, progress: Progress
) -> Mapping[str, Digest]:
    """Have layers in a server's store as blobs; give the digest of each by its name.

    A layer that the server has is not sent. What was sent stays there until the server's next start, whatever
    comes of the model.

    Args:
        client: The server.
        layers: What it is to have.
        hashing: Where their digests come from.
        progress: Called with the bytes sent, from several threads.

    Raises:
        FileChanged: A file was changed since its header was read.
        NotEnoughSpace: The server's disk is full.
        ServerProblem: The server cannot be reached, or refuses.
    """
    hashing.prioritise_in_order()

    def send(layer: Weights, check: Callable[[], None]) -> Digest:
        digest = hashing.digest(layer, check=check)

        def report(update: Update) -> None:
            check()
            progress(update)

        try:
            client.upload_blob(
                pieces_of(layer), digest=digest, size=layer.size, label=layer.name, progress=report
            )
        except (InvalidInput, ServerProblem):
            layer.require_unchanged()  # which the server could only call a wrong digest
            raise
        return digest

    digests = at_once(send, layers, most=_UPLOADS)
    return {layer.name: digest for layer, digest in zip(layers, digests, strict=True)}
