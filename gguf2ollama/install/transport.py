"""The transports by which a model gets to a server: which of them work, and the one to take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerProblem, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.target import Via

if TYPE_CHECKING:
    from gguf2ollama.install.hashing import Hashing
    from gguf2ollama.planning.plan import BuildPlan

__all__ = [
    "Transport",
    "TransportChoice",
    "choose_transport",
    "find_store",
    "is_seen",
    "known_stores",
    "open_transport",
]


class Transport(Protocol):
    """Makes a model on a server, or in a model directory."""

    def make(self, name: ModelName) -> None:
        """Make the model under a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportChoice:
    """A transport that works, and why it is that one.

    Attributes:
        transport: The transport.
        reason: Why it is that one.
        store: The server's own model directory, for a link.
    """

    transport: Literal["link", "pull", "upload"]
    reason: str
    store: LocalStore | None = None


def choose_transport(
    client: Client, *, via: Via, is_tested: bool = True, notify: Callable[[str], None] = ignore
) -> TransportChoice:
    """Choose the transport with the least copying that works, or check that the one asked for does.

    This is the one place where one transport falls back to the next, before anything is planned for it: what
    is planned depends on the transport, and no bytes of the model have moved.

    Args:
        client: The server.
        via: What the user asks for.
        is_tested: Whether a pull is tried with a model of some hundred bytes, which is removed again.
        notify: Called with a line where a transport doesn't work.

    Raises:
        ServerProblem: The server cannot pull from us, and that was asked for.
        UsageProblem: The transport asked for does not work here.
    """
    if via == "upload":
        return TransportChoice(transport="upload", reason="as requested")
    if not client.address.is_loopback:
        if via != "auto":
            raise UsageProblem(
                f"--via {via} needs a server on this machine, {client.address.base_url} is on another",
                hint="leave it out, or use --via upload",
            )
        return TransportChoice(transport="upload", reason="the server is on another machine")
    if via != "pull":
        store = find_store(client, environ=os.environ)
        if store is not None:
            why = "Ollama's model directory is on this machine and owned by you"
            return TransportChoice(
                transport="link", reason="as requested" if via == "link" else why, store=store
            )
        if via == "link":
            raise UsageProblem(
                "--via link needs Ollama's model directory on this machine and owned by you"
                f" ({_why_not_linked(os.environ)})",
                hint="set OLLAMA_MODELS as the server has it, or use --via pull",
            )
    try:
        if is_tested:
            from gguf2ollama.install.registry_pull import require_pull  # noqa: PLC0415 - for a pull alone

            require_pull(client)
    except (ServerProblem, NotFound) as error:
        if via == "pull":
            raise
        # a server at a loopback address may sit in a container or behind a tunnel, and then can't reach us
        notify(f"Pull failed ({error.message}), falling back to upload")
        return TransportChoice(transport="upload", reason="the server cannot pull from this machine")
    reason = "as requested" if via == "pull" else f"Ollama's model directory {_why_not_linked(os.environ)}"
    return TransportChoice(transport="pull", reason=reason)


def open_transport(
    plan: BuildPlan,
    *,
    client: Client,
    store: LocalStore | None,
    hashing: Hashing,
    progress: Progress,
    notify: Callable[[str], None],
) -> Transport:
    """Make ready the transport of a plan.

    Args:
        plan: What is made; its files are on this machine, unless they are streamed.
        client: The server.
        store: The server's own model directory, for a link.
        hashing: Finds the digests of its files.
        progress: Called with the bytes copied and sent.
        notify: Called with a line about each step.
    """
    features = plan.destination.features
    if plan.options.stream:
        from gguf2ollama.install.passthrough import StreamTransport  # noqa: PLC0415 - for this one alone

        return StreamTransport(client=client, plan=plan, progress=progress, notify=notify)
    if plan.destination.transport == "upload":
        from gguf2ollama.install.upload import UploadTransport  # noqa: PLC0415 - for this one alone

        return UploadTransport(
            client=client,
            image=plan.image,
            recipe=plan.inspection.recipe,
            hashing=hashing,
            copies=features.copies_of_upload,
            progress=progress,
        )
    if store is not None:
        from gguf2ollama.install.link import StoreTransport  # noqa: PLC0415 - for this one alone

        return StoreTransport(
            store=store, image=plan.image, hashing=hashing, progress=progress, notify=notify
        )
    from gguf2ollama.install.registry_pull import PullTransport  # noqa: PLC0415 - an HTTP server

    return PullTransport(client=client, image=plan.image, hashing=hashing, progress=progress)


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


def _why_not_linked(environ: Mapping[str, str]) -> str:
    """Return why no model directory can be linked into: whose it is, or that none was found."""
    for store in known_stores(environ):
        with contextlib.suppress(OSError, KeyError, Gguf2OllamaError):
            if store.root.is_dir() and not store.is_writable:
                return f"belongs to user {store.root.owner()}"
    return "was not found on this machine"
