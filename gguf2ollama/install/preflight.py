"""Check before files are moved that there is enough disk space."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace
from gguf2ollama.fs.space import free_bytes
from gguf2ollama.install.stores import is_seen, known_stores
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.layers import Image, Weights
from gguf2ollama.planning.plan import BuildPlan

__all__ = ["free_server_bytes", "is_store_of", "preflight", "reported_digests", "require_server_space"]

_COMPARED_MODELS = 20  # of those that a server lists, to identify its store
_SAME_TIME = 1.0  # seconds by which server and file system may differ on a file's time


def preflight(
    plan: BuildPlan, *, client: Client | None, store: LocalStore | None, folder: Path | None
) -> None:
    """Check that there is space for a model whose files are not on this machine yet.

    For files on this machine the transport checks it, before it moves anything.

    Args:
        plan: The plan.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
        folder: Where the files will be downloaded to; ``None`` if they are not downloaded.

    Raises:
        NotEnoughSpace: A file system has too few bytes free.
        UsageProblem: The model directory cannot be written.
    """
    if folder is None:
        return
    image, device = plan.image, _device(folder)
    if store is not None:
        # across devices all is copied; within one, whether bytes can be shared shows only when linking
        is_elsewhere = device != _device(store.root)
        store.require(sum(layer.size for layer in image.weights) if is_elsewhere else 0)
    elif client is not None and (digests := reported_digests(plan, image)) is not None:
        require_server_space(
            client,
            image,
            digests=lambda: digests,
            copies=plan.destination.features.copies_of_upload if plan.destination.by_upload else 1,
            reserved={device: plan.bytes_to_fetch} if device is not None else {},
        )


def _device(folder: Path) -> int | None:
    """Return the device of the file system where a folder is, or will be."""
    for ancestor in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return ancestor.stat().st_dev
    return None


def reported_digests(plan: BuildPlan, image: Image) -> Mapping[str, Digest] | None:
    """Return the digests of layers by name, as a site reports them; ``None`` if one is not a whole file."""
    origin = plan.inspection.files.origin
    if origin is None or len(image.weights) != len(origin.files):
        return None
    if not all(
        layer.is_file and file.sha256 for layer, file in zip(image.weights, origin.files, strict=True)
    ):
        return None
    return {
        layer.name: Digest(file.sha256 or "") for layer, file in zip(image.weights, origin.files, strict=True)
    }


def require_server_space(
    client: Client,
    image: Image,
    *,
    digests: Callable[[], Mapping[str, Digest]],
    copies: int = 1,
    reserved: Mapping[int, int] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Check that the store of a server has space for a model.

    Nothing is checked if the store is not known: on another machine, in a container, or if it can neither be
    written nor be identified by its models. The digests are requested only if space is short, since then
    existing blobs count.

    Args:
        client: The server.
        image: The model.
        digests: Returns the digest of each layer of weights by its name; called if space is short.
        copies: The most copies of the model, its blob included, that the store holds at one time.
        reserved: Bytes that a download will take, by the device of the file system (``st_dev``).
        environ: The environment variables, which may name the store.

    Raises:
        NotEnoughSpace: The file system of the store has too few bytes free.
    """
    if not client.address.is_loopback:
        return
    extra = (copies - 1) * sum(layer.size for layer in image.weights if layer.media_type is MediaType.MODEL)
    most = extra + sum(layer.size for layer in image.weights)
    for store in known_stores(environ):
        blobs = store.root / "blobs"
        free = _free_or_none(blobs, reserved=reserved or {})
        if free is None or free >= most or not is_store_of(client, store):
            continue
        found = digests()
        needed = extra + sum(
            _missing_bytes(client, blobs, layer, found[layer.name]) for layer in _distinct(image, found)
        )
        if free < needed:
            raise _short(blobs, free=free, needed=needed, copies=copies)
        return


def _free_or_none(folder: Path, *, reserved: Mapping[int, int]) -> int | None:
    try:
        return free_bytes(folder) - reserved.get(folder.stat().st_dev, 0)
    except (Gguf2OllamaError, OSError):  # it does not exist, or cannot be read
        return None


def free_server_bytes(client: Client, *, environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the bytes free in the store of a server; ``None`` if not known, as on another machine."""
    if not client.address.is_loopback:
        return None
    for store in known_stores(environ):
        free = _free_or_none(store.root / "blobs", reserved={})
        if free is not None and is_store_of(client, store):
            return free
    return None


def is_store_of(client: Client, store: LocalStore) -> bool:
    """Return whether a store is that of a server: by its models, or by a few bytes written there."""
    with contextlib.suppress(Gguf2OllamaError):
        for model in client.list()[:_COMPARED_MODELS]:
            with contextlib.suppress(Gguf2OllamaError):
                digests, times = store.listed_as(ModelName.parse(model.name))
                changed = model.modified.timestamp() if model.modified else 0.0
                if model.digest in digests and any(abs(time - changed) < _SAME_TIME for time in times):
                    return True
    return store.is_writable and is_seen(store, client)


def _distinct(image: Image, digests: Mapping[str, Digest]) -> Iterable[Weights]:
    return {digests[layer.name]: layer for layer in image.weights}.values()


def _missing_bytes(client: Client, blobs: Path, layer: Weights, digest: Digest) -> int:
    """Return the bytes that the store lacks of a layer; an interrupted pull may have left some."""
    if client.has_blob(digest):
        return 0
    with contextlib.suppress(OSError):
        partial = blobs.joinpath(f"{digest.blob_name}-partial").stat()  # as long as the blob, but sparse
        return max(layer.size - getattr(partial, "st_blocks", 0) * 512, 0)
    return layer.size


def _short(blobs: Path, *, free: int, needed: int, copies: int) -> NotEnoughSpace:
    why = f", since this Ollama rewrites what is uploaded and keeps {copies} copies meanwhile"
    less = ", or use --via link or pull, which need less"
    return NotEnoughSpace(
        f"not enough space in {blobs}: {needed:,} bytes needed, {free:,} free{why if copies > 1 else ''}",
        hint=f"free space there, for example with `gguf2ollama rm NAME`{less if copies > 1 else ''}",
    )
