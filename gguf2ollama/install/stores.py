"""Find the model directories on this machine, and the one that a server uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore

__all__ = ["find_store", "is_seen", "known_stores", "why_not_linked"]

_SERVICES = (
    "/usr/share/ollama/.ollama/models",  # Ollama's own installer, Fedora's package
    "/var/lib/ollama",  # Arch Linux
    "/var/lib/ollama/models",  # NixOS
    "/var/lib/ollama/.ollama/models",  # Gentoo
    "/var/snap/ollama/common/models",  # snap
)


def find_store(client: Client, *, environ: Mapping[str, str]) -> LocalStore | None:
    """Return the model directory of a server on this machine if it is this user's to write, or ``None``.

    A folder may belong to another server, or to one in a container: so a few bytes are written there, and the
    server has to see them.
    """
    for store in known_stores(environ):
        if store.is_writable and store.keeps_owner and is_seen(store, client):
            return store
    return None


def is_seen(store: LocalStore, client: Client) -> bool:
    """Return whether the server sees a few bytes that are written to the store, and removed again."""
    content = b"gguf2ollama looks for the server of this store: " + os.urandom(16)
    digest = Digest.of(content)
    try:
        if client.has_blob(digest):
            return False  # it says yes to anything
        try:
            store.add_bytes(content)
            return client.has_blob(digest)
        finally:
            store.discard(digest)
    except Gguf2OllamaError:
        return False


def known_stores(environ: Mapping[str, str]) -> Iterator[LocalStore]:
    """Return where Ollama may keep models: as configured, in this user's home, and as a service of Linux."""
    if configured := environ.get("OLLAMA_MODELS", "").strip().strip("\"'"):
        yield LocalStore(Path(configured))
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield LocalStore(Path.home() / ".ollama" / "models")
    yield from map(LocalStore, map(Path, _SERVICES))


def why_not_linked(environ: Mapping[str, str]) -> str:
    """Return why no model directory can be written: its owner, or that none was found."""
    for store in known_stores(environ):
        with contextlib.suppress(OSError, Gguf2OllamaError):
            if store.root.is_dir() and not (store.is_writable and store.keeps_owner):
                return f"belongs to user {store.owner_name}"
    return "was not found on this machine"
