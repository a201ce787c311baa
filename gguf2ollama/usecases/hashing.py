"""Hash the weights of a model in parallel, or remember what their digests were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from gguf2ollama.errors import InvalidInput
from gguf2ollama.ggufio import MergedView
from gguf2ollama.oci import Digest, hash_stream
from gguf2ollama.progress import Progress, Update
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
        InvalidInput: A file changed its length since its header was read.
    """
    unknown = []
    digests: dict[str, Digest] = {}
    for layer in image.weights:
        known = cache.get(_files(layer))
        if known is None:
            unknown.append(layer)
        else:
            digests[layer.name] = known
    if not unknown:
        return digests
    with ThreadPoolExecutor(max_workers=min(len(unknown), os.cpu_count() or 1)) as pool:
        found = pool.map(lambda layer: _hash(layer, progress=progress), unknown)
        for layer, digest in zip(unknown, found, strict=True):
            digests[layer.name] = digest
            cache.put(_files(layer), digest)
    cache.save()
    return digests


def _files(layer: Weights) -> tuple[str, ...]:
    """Give the files that the bytes of a layer depend on."""
    if isinstance(layer.source, MergedView):
        return tuple(str(path) for path in layer.source.paths)
    return (str(layer.source),)


def _hash(layer: Weights, *, progress: Progress) -> Digest:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(Update(task=f"hashing {layer.name}", done=done, total=layer.size))

    with layer.open() as stream:
        digest, length = hash_stream(stream, advance=advance)
    if length != layer.size:
        raise InvalidInput(
            f"{layer.name} has {length:,} bytes, it had {layer.size:,} a moment ago",
            hint="something writes to it: wait until that is done, then run the same command again",
        )
    return digest
