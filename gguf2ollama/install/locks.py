"""Locks between the builds of one user on one machine: on the name of a model, and on loaded weights.

Where a file cannot be locked (some network file systems), there are no locks, and what they prevent is as
unlikely as without them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.environment import cache_folder
from gguf2ollama.fs.locks import lock_file
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo

__all__ = ["is_locked", "lock_folder", "name_lock", "weights_lock"]

_DIGITS = 4  # of a digest: what shares a lock only waits for one another


@contextlib.contextmanager
def name_lock(client: Client, name: ModelName) -> Iterator[None]:
    """Let no other build replace the model of a name while the block runs.

    A server copies a manifest by emptying the target first (``CopyModel`` in server/images.go of 0.34.4):
    who copies that one at this moment gets an empty manifest, which the server cannot even delete.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if (path := _path("name", f"{client.address.base_url} {name.full.lower()}")) is not None:
                lock_file(stack.enter_context(_opened(path)), wait=True)
        yield


@contextlib.contextmanager
def weights_lock(client: Client, info: ModelInfo, *, notify: Callable[[str], None]) -> Iterator[None]:
    """Let no other build load or unload a model of the same weights while the block runs.

    A server runs all models of the same weights in one process, which renders chats with the settings of the
    model that it was started for, and which ends when any of them is unloaded (``schedulerModelKey``,
    ``needsReload`` and ``expireRunner`` in server/sched.go of 0.34.4).

    Args:
        client: The server.
        info: What it reports about the model.
        notify: Called with a sentence if another build is waited for.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if (path := _path_for_weights(client, info)) is not None:
                if is_locked(client, info):
                    notify("Waiting for another build or verification of the same weights")
                lock_file(stack.enter_context(_opened(path)), wait=True)
        yield


def is_locked(client: Client, info: ModelInfo) -> bool:
    """Return whether a build holds the :func:`weights_lock` of a model."""
    path = _path_for_weights(client, info)
    with contextlib.suppress(OSError):
        if path is not None:
            with path.open("rb") as file:
                try:
                    lock_file(file, wait=False)
                except (BlockingIOError, PermissionError):
                    return True
    return False


def lock_folder() -> Path | None:
    """Return the folder for files that builds lock; ``None`` where there is none to write to."""
    folder = cache_folder()
    return None if folder is None else folder / "builds"


def _path_for_weights(client: Client, info: ModelInfo) -> Path | None:
    # the first file names the others of a set, and no projector is the weights
    found = re.search(r"^FROM (.+)$", info.modelfile, re.MULTILINE)
    return None if found is None else _path("weights", f"{client.address.base_url} {found[1]}")


def _path(kind: str, key: str) -> Path | None:
    """Return the path of a lock file; ``None`` where there is no folder for it."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    folder = lock_folder()
    return None if folder is None else folder / f"{kind}-{digest}"


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")
