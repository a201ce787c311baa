"""Open the destination of a build, a server or a model directory, and choose the transport to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.fs.sharing import shares_bytes
from gguf2ollama.install.transport import choose_transport
from gguf2ollama.names import ServerAddress
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.target import NEWEST_TESTED, Destination, Via, parse_version, require_uploads

__all__ = ["OpenDestination", "open_destination", "open_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDestination:
    """A destination that was checked, with its open connection.

    Attributes:
        destination: What is known of it.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
    """

    destination: Destination
    client: Client | None
    store: LocalStore | None

    def patch_copies(self, path: Path, *, digests: Sequence[str | None], symlink: bool) -> bool:
        """Return whether a changed header makes the store copy weights that it has or shares otherwise.

        A server that pulls or gets an upload copies them anyway if it does not have them, and so does a store
        on another file system.

        Args:
            path: The file, or where it will be once it is downloaded.
            digests: What is known of the sha256 of the model's files, as 64 hexadecimal digits.
            symlink: Whether they are linked symbolically where they are on another file system.
        """
        if self.client is not None and self.store is None:
            known = [Digest.parse(f"sha256:{digest}") for digest in digests if digest]
            return any(map(self.client.has_blob, known))
        if self.store is None:
            return False
        try:
            is_same = _existing(path).stat().st_dev == _existing(self.store.root).stat().st_dev
        except OSError:
            return True  # nothing is known
        if is_same:
            return not shares_bytes(self.store.root / "blobs")
        return symlink


def _existing(path: Path) -> Path:
    """Return the nearest folder that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


@contextlib.contextmanager
def open_destination(
    *,
    host: str | None,
    ca_file: Path | None,
    store: str | os.PathLike[str] | None,
    for_ollama: str | None,
    via: Via,
    tests_pull: bool = True,
    notify: Callable[[str], None],
) -> Iterator[OpenDestination]:
    """Connect to a server, or open a model directory, and choose the transport.

    Args:
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        store: A model directory to write without a server.
        for_ollama: The Ollama version that it is written for; the newest tested one when not given.
        via: The transport that the user requests.
        tests_pull: Whether a pull is tested, with a temporary model without weights.
        notify: Called with a line about each step.

    Raises:
        ServerProblem: The server cannot be reached, or cannot pull from us and that was requested.
        UsageProblem: The requested transport does not work here, or the server is too old for it.
    """
    if store is not None:
        version = parse_version(for_ollama or NEWEST_TESTED)
        _note(version, notify)
        directory = LocalStore(Path(store))
        if directory.root.is_dir() and not directory.keeps_owner:
            raise UsageProblem(
                f"{store} belongs to user {directory.owner_name}, whose Ollama cannot reuse files of yours",
                hint="leave out --store, so that the server writes it, or build as that user",
            )
        yield OpenDestination(
            destination=Destination(location=str(store), version=version, transport="store"),
            client=None,
            store=directory,
        )
        return
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address, ca_file=ca_file, notify=notify) as client:
        yield open_server(client, via=via, tests_pull=tests_pull, notify=notify)


def open_server(
    client: Client, *, via: Via, tests_pull: bool = True, notify: Callable[[str], None] = ignore
) -> OpenDestination:
    """Return a server as a destination; see :func:`open_destination`."""
    version = client.version()
    _note(version, notify)
    choice = choose_transport(client, via=via, tests_pull=tests_pull, notify=notify)
    if choice.transport == "upload":
        require_uploads(version)
    notify(f"Transport: {choice.transport} ({choice.reason})")
    return OpenDestination(
        destination=Destination(
            location=client.address.base_url,
            version=version,
            transport=choice.transport,
            reason=choice.reason,
            runs_locally=client.address.is_loopback,
        ),
        client=client,
        store=choice.store,
    )


def _note(version: ServerVersion, notify: Callable[[str], None]) -> None:
    if version.note:
        notify(version.note)
