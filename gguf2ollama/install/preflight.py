"""Check before anything large is moved that there is room for it."""

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

__all__ = ["preflight", "require_server_space"]

_ASKED_MODELS = 20  # of those that a server lists, to know its store by
_SAME_TIME = 1.0  # seconds between what a server and the system say of one file


def preflight(
    plan: BuildPlan, *, client: Client | None, store: LocalStore | None, folder: Path | None
) -> None:
    """Check that there is room for a model whose files are not on this machine yet.

    What is on this machine is checked by its transport, which need not move anything for that.

    Args:
        plan: What is made.
        client: The server; ``None`` for a model directory that no server has to serve.
        store: The model directory that is written; ``None`` where a server writes.
        folder: Where the files will be put; ``None`` where they are here already, or never will be.

    Raises:
        NotEnoughSpace: A file system has fewer bytes free than are needed.
        UsageProblem: The model directory can't be written.
    """
    if folder is None:
        return
    image, device = plan.image, _device(folder)
    if store is not None:
        # what can't be a link is a copy; whether bytes can be shared shows when both files are there
        is_elsewhere = device != _device(store.root)
        store.require(sum(layer.size for layer in image.weights) if is_elsewhere else 0)
    elif client is not None and (digests := _reported_digests(plan, image)) is not None:
        require_server_space(
            client,
            image,
            digests=lambda: digests,
            copies=plan.destination.features.copies_of_upload
            if plan.destination.transport == "upload"
            else 1,
            reserved={device: plan.bytes_to_fetch} if device is not None else {},
        )


def _device(folder: Path) -> int | None:
    """Return the device of the file system where a folder is, or will be."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return place.stat().st_dev
    return None


def _reported_digests(plan: BuildPlan, image: Image) -> Mapping[str, Digest] | None:
    """Return the digests of layers that are files as they are at their site; ``None`` where one is not."""
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
    """Check that the store of a server has room for a model that it is about to be given.

    Nothing is checked where the store is not known: on another machine, in a container, or when it can be
    neither written nor told from others by the models in it. The digests are waited for only when room is
    short, since then it counts which blobs are there already.

    Args:
        client: The server.
        image: The model.
        digests: Finds the digest of each of its weights layers by its name; called where room is short.
        copies: How many copies of the model itself there are in the store for a while, the blob included.
        reserved: Bytes that something else will take, by the device of the file system (``st_dev``).
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
        free = _free_or_none(blobs, reserved=reserved or {})
        if free is None or free >= most or not _is_store_of(client, store):
            continue
        found = digests()
        needed = extra + sum(
            _missing_bytes(client, blobs, layer, found[layer.name]) for layer in _each_once(image, found)
        )
        if free < needed:
            raise _short(blobs, free=free, needed=needed, copies=copies)
        return


def _free_or_none(folder: Path, *, reserved: Mapping[int, int]) -> int | None:
    try:
        return free_bytes(folder) - reserved.get(folder.stat().st_dev, 0)
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
