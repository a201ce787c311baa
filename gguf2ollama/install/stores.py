"""The model directories on this machine, and which of them is a server's own."""

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


def find_store(client: Client, *, environ: Mapping[str, str]) -> LocalStore | None:
    """Find the model directory of a server on this machine that we may write; ``None`` where there is none.

    A folder that looks like one may be that of another server, or of one in a container: so a few bytes are
    put there, and the server has to see them.
    """
    for store in known_stores(environ):
        if store.is_writable and is_seen(store, client):
            return store
    return None


def is_seen(store: LocalStore, client: Client) -> bool:
    """Return whether the server sees a few bytes that are put into the store, and taken out again."""
    content = b"gguf2ollama looks for the server of this store: " + os.urandom(16)
    digest = Digest.of(content)
    try:
        if client.has_blob(digest):
            return False  # whatever that is, it says yes to anything
        try:
            store.add_bytes(content)
            return client.has_blob(digest)
        finally:
            store.discard(digest)
    except Gguf2OllamaError:
        return False


def known_stores(environ: Mapping[str, str]) -> Iterator[LocalStore]:
    """Return where Ollama keeps models: as configured, of this user, of the usual Linux service."""
    if configured := environ.get("OLLAMA_MODELS", "").strip().strip("\"'"):
        yield LocalStore(Path(configured))
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield LocalStore(Path.home() / ".ollama" / "models")
    yield LocalStore(Path("/usr/share/ollama/.ollama/models"))


def why_not_linked(environ: Mapping[str, str]) -> str:
    """Return why no model directory can be linked into: whose it is, or that none was found."""
    for store in known_stores(environ):
        with contextlib.suppress(OSError, KeyError, Gguf2OllamaError):
            if store.root.is_dir() and not store.is_writable:
                return f"belongs to user {store.root.owner()}"
    return "was not found on this machine"
