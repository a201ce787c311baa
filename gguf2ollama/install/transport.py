"""Choose the way by which a model comes to a server, and say why."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama.errors import Gguf2OllamaError, UsageProblem
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore

__all__ = ["Choice", "Via", "choose_route", "find_store", "is_seen", "known_stores"]

Via: TypeAlias = Literal["auto", "link", "pull", "upload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way, and why it is that one.

    Attributes:
        via: The way.
        reason: Why it is that one.
        store: The server's own store, for a link.
        is_certain: Whether there is no other way to take when this one fails.
    """

    via: Literal["link", "pull", "upload"]
    reason: str
    store: LocalStore | None = None
    is_certain: bool = True


def choose_route(client: Client, *, via: Via) -> Choice:
    """Choose the way with the least copying that works, or check that the one asked for does.

    Raises:
        UsageProblem: The way asked for does not work here.
    """
    if via == "upload":
        return Choice(via="upload", reason="as asked for")
    if not client.address.is_loopback:
        if via != "auto":
            raise UsageProblem(
                f"--via {via} needs a server on this machine, {client.address.base_url} is on another",
                hint="leave it out, or use --via upload",
            )
        return Choice(via="upload", reason="the server is on another machine")
    if via == "pull":
        return Choice(via="pull", reason="as asked for")
    store = find_store(client, environ=os.environ)
    if store is not None:
        why = "as asked for" if via == "link" else "the server's store is on this machine and ours to write"
        return Choice(via="link", reason=why, store=store)
    if via == "link":
        raise UsageProblem(
            "--via link needs the server's own store, which is not found here or not ours to write",
            hint="set OLLAMA_MODELS as the server has it, or use --via pull",
        )
    return Choice(via="pull", reason="the server's store is not ours to write", is_certain=False)


def find_store(client: Client, *, environ: Mapping[str, str]) -> LocalStore | None:
    """Find the store of a server on this machine that we may write; ``None`` where there is none.

    A folder that looks like a store may be that of another server, or of one in a container: so a few bytes
    are put there, and the server has to see them.
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
    """Return the places where Ollama keeps models: as told, of this user, of the usual Linux service."""
    if told := environ.get("OLLAMA_MODELS", "").strip().strip("\"'"):
        yield LocalStore(Path(told))
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield LocalStore(Path.home() / ".ollama" / "models")
    yield LocalStore(Path("/usr/share/ollama/.ollama/models"))
