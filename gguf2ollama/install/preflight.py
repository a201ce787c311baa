"""Count the bytes that a server's store needs before anything is written, where it is on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace
from gguf2ollama.fs.space import free_bytes
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.transport import is_seen, known_stores
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.layers import Image, Weights

__all__ = ["require_server_space"]

_ASKED_MODELS = 20  # of those that a server lists, to know its store by
_SAME_TIME = 1.0  # seconds between what a server and the system say of one file


def require_server_space(
    client: Client,
    image: Image,
    *,
    hashing: Hashing,
    copies: int = 1,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Check that the store of a server has room for a model that it is about to be given.

    Nothing is checked where the store is not known: on another machine, in a container, or when it can be
    neither written nor told from others by the models in it. The digests are waited for only when room is
    short, since then it counts which blobs are there already.

    Args:
        client: The server.
        image: The model.
        hashing: Where its digests come from.
        copies: How many copies of the model itself there are in the store for a while, the blob included.
        environ: The environment, which may name the store.

    Raises:
        NotEnoughSpace: The file system of the store has fewer bytes free than are needed.
    """
    if not client.address.is_loopback:
        return
    extra = (copies - 1) * sum(one.size for one in image.weights if one.media_type is MediaType.MODEL)
    most = extra + sum(one.size for one in image.weights)
    for store in known_stores(environ):
        blobs = store.root / "blobs"
        free = _free_or_none(blobs)
        if free is None or free >= most or not _is_store_of(client, store):
            continue
        digests = hashing.digests(image)
        needed = extra + sum(
            _missing_bytes(client, blobs, one, digests[one.name]) for one in _each_once(image, digests)
        )
        if free < needed:
            raise _short(blobs, free=free, needed=needed, copies=copies)
        return


def _free_or_none(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except (Gguf2OllamaError, OSError):  # no store is there, or it cannot be looked at
        return None


def _is_store_of(client: Client, store: LocalStore) -> bool:
    """Return whether a server's models, or what is written there, are those in the store."""
    with contextlib.suppress(Gguf2OllamaError):
        for model in client.list()[:_ASKED_MODELS]:
            with contextlib.suppress(Gguf2OllamaError):
                digests, times = store.listed_as(ModelName.parse(model.name))
                changed = model.modified.timestamp() if model.modified else 0.0
                if model.digest in digests and any(abs(one - changed) < _SAME_TIME for one in times):
                    return True
    return store.is_writable and is_seen(store, client)


def _each_once(image: Image, digests: Mapping[str, Digest]) -> Iterable[Weights]:
    return {digests[one.name]: one for one in image.weights}.values()


def _missing_bytes(client: Client, blobs: Path, layer: Weights, digest: Digest) -> int:
    """Count what is not there of a layer: nothing of a blob, or less where a pull was broken off."""
    if client.has_blob(digest):
        return 0
    with contextlib.suppress(OSError):
        partial = blobs.joinpath(f"{digest.blob_name}-partial").stat()  # as long as the blob, with holes
        return max(layer.size - getattr(partial, "st_blocks", 0) * 512, 0)
    return layer.size


def _short(blobs: Path, *, free: int, needed: int, copies: int) -> NotEnoughSpace:
    why = f", since this Ollama rewrites what is uploaded and keeps {copies} copies meanwhile"
    less = ", or use --via link or pull, which need less"
    return NotEnoughSpace(
        f"not enough space in {blobs}: {needed:,} bytes needed, {free:,} free{why if copies > 1 else ''}",
        hint=f"free space there, for example with `gguf2ollama rm NAME`{less if copies > 1 else ''}",
    )
