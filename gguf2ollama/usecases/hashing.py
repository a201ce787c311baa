"""Hash the weights of a model in parallel, or remember what their digests were."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from gguf2ollama.oci import Digest, hash_stream
from gguf2ollama.progress import Progress, Update
from gguf2ollama.usecases.at_once import at_once
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.image import Image, Weights

__all__ = ["hash_weights"]


def hash_weights(image: Image, *, cache: DigestCache, progress: Progress) -> Mapping[str, Digest]:
    """Give the digest of each layer of weights by its name; several are hashed at once.

    Args:
        image: The model.
        cache: What is known of files already, and learns what is found.
        progress: Told the bytes hashed, from several threads.

    Raises:
        InvalidGguf: A file was changed since its header was read.
        NotFound: A file is gone.
    """
    known = {layer.name: cache.get(_files(layer)) for layer in image.weights}
    unknown = [layer for layer in image.weights if known[layer.name] is None]
    found = _hash_all(unknown, cache=cache, progress=progress) if unknown else {}
    for layer in image.weights:
        layer.require_unchanged()
    return found | {name: digest for name, digest in known.items() if digest is not None}


def _hash_all(layers: list[Weights], *, cache: DigestCache, progress: Progress) -> dict[str, Digest]:
    def one(layer: Weights, check: Callable[[], None]) -> Digest:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            check()
            done += count
            progress(Update(task=f"hashing {layer.name}", done=done, total=layer.size))

        with layer.open() as stream:
            digest, _ = hash_stream(stream, advance=advance)
        cache.put(_files(layer), digest)
        return digest

    try:
        # more than there are cores: else cores are idle while the last file is hashed
        found = at_once(one, layers, most=2 * (os.cpu_count() or 1))
    finally:
        cache.save()
    return {layer.name: digest for layer, digest in zip(layers, found, strict=True)}


def _files(layer: Weights) -> tuple[str, ...]:
    """Give the files that the bytes of a layer depend on."""
    return tuple(str(shard.path.resolve()) for shard in layer.shards)
