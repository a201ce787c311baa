"""Where a model is built: a server and the transport to it, or a model directory; asked before any source."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.install.transport import choose_transport
from gguf2ollama.names import ServerAddress
from gguf2ollama.ollama import Client, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.target import NEWEST_TESTED, Destination, Via, parse_version, require_uploads

__all__ = ["OpenDestination", "open_destination"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDestination:
    """A destination that can be used.

    Attributes:
        destination: What is known of it.
        client: The server; ``None`` for a model directory that no server has to serve.
        store: The model directory that is written; ``None`` where a server writes.
    """

    destination: Destination
    client: Client | None
    store: LocalStore | None


@contextlib.contextmanager
def open_destination(
    *,
    host: str | None,
    ca_file: Path | None,
    store: str | os.PathLike[str] | None,
    for_ollama: str | None,
    via: Via,
    is_tested: bool = True,
    notify: Callable[[str], None],
) -> Iterator[OpenDestination]:
    """Find out what a server or a model directory takes, and keep the connection open.

    Args:
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        store: A model directory to write instead of asking a server.
        for_ollama: The version of Ollama that it is written for; the newest tested when not given.
        via: The transport that the user asks for.
        is_tested: Whether a pull is tried, which makes a model without weights for a moment.
        notify: Called with a line about each step.

    Raises:
        ServerProblem: The server cannot be reached, or cannot pull from us, where that was asked for.
        UsageProblem: The transport asked for does not work here, or the server is too old for it.
    """
    if store is not None:
        version = parse_version(for_ollama or NEWEST_TESTED)
        _note(version, notify)
        directory = LocalStore(Path(store))
        yield OpenDestination(
            destination=Destination(location=str(store), version=version, transport="store"),
            client=None,
            store=directory,
        )
        return
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address, ca_file=ca_file, notify=notify) as client:
        version = client.version()
        _note(version, notify)
        choice = choose_transport(client, via=via, is_tested=is_tested, notify=notify)
        if choice.transport == "upload":
            require_uploads(version)
        notify(f"Transport: {choice.transport} ({choice.reason})")
        yield OpenDestination(
            destination=Destination(
                location=address.base_url,
                version=version,
                transport=choice.transport,
                reason=choice.reason,
                runs_locally=address.is_loopback,
            ),
            client=client,
            store=choice.store,
        )


def _note(version: ServerVersion, notify: Callable[[str], None]) -> None:
    if version.note:
        notify(version.note)
