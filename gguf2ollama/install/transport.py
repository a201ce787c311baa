"""Choose the transport by which a model gets to a server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import NotFound, ServerProblem, UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.install.stores import find_store, why_not_linked
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.target import Via

__all__ = [
    "Transport",
    "TransportChoice",
    "choose_transport",
]


class Transport(Protocol):
    """Makes a model on a server, or in a model directory."""

    def make(self, name: ModelName) -> None:
        """Make the model under a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportChoice:
    """A transport that works, and why it was chosen.

    Attributes:
        transport: The transport.
        reason: Why it was chosen.
        store: The server's own model directory, for a link.
    """

    transport: Literal["link", "pull", "upload"]
    reason: str
    store: LocalStore | None = None


def choose_transport(
    client: Client, *, via: Via, tests_pull: bool = True, notify: Callable[[str], None] = ignore
) -> TransportChoice:
    """Choose the transport with the least copying that works, or check that the requested one does.

    This is the only place where one transport falls back to the next: before planning, since the plan depends
    on the transport, and before any byte of the model has moved.

    Args:
        client: The server.
        via: What the user requests.
        tests_pull: Whether a pull is tested with a temporary model of some hundred bytes.
        notify: Called with a line if a transport does not work.

    Raises:
        ServerProblem: The server cannot pull from us, and that was requested.
        UsageProblem: The requested transport does not work here.
    """
    if via == "upload":
        return TransportChoice(transport="upload", reason="as requested")
    if not client.address.is_loopback:
        if via != "auto":
            raise UsageProblem(
                f"--via {via} needs a server on this machine; {client.address.base_url} is on another",
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
                f" ({why_not_linked(os.environ)})",
                hint="set OLLAMA_MODELS as the server has it, or use --via pull",
            )
    try:
        if tests_pull:
            from gguf2ollama.install.registry_pull import require_pull  # noqa: PLC0415 - for a pull alone

            require_pull(client)
    except (ServerProblem, NotFound) as error:
        if via == "pull":
            raise
        # a server at a loopback address that is in a container or behind a tunnel cannot reach us
        notify(f"Pull failed ({error.message}), falling back to upload")
        return TransportChoice(transport="upload", reason="the server cannot pull from this machine")
    reason = "as requested" if via == "pull" else f"Ollama's model directory {why_not_linked(os.environ)}"
    return TransportChoice(transport="pull", reason=reason)
