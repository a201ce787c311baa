"""Connect to hosts, and observe what they have: hosts in parallel, one that fails hides no other."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama.api.build_steps import find_memory
from gguf2ollama.api.listing import list_once
from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused, UsageProblem
from gguf2ollama.fleet.entries import Fleet, HostEntry
from gguf2ollama.fs.homes import expand_home
from gguf2ollama.install.destination import OpenDestination, open_server
from gguf2ollama.install.preflight import free_server_bytes
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName, ServerAddress
from gguf2ollama.ollama import Client, LocalModel, ModelInfo

if TYPE_CHECKING:
    from gguf2ollama.memory.hardware import MemoryRoom

__all__ = ["Observation", "connect", "hosts_of", "observe", "open_hosts", "over_hosts"]

_OLLAMA = "ollama"
_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a host is and has.

    Attributes:
        host: The host.
        error: Why it could not be observed; the rest is then empty.
        opened: It as a destination.
        room: The memory for models there, if known.
        models: Its models by name in lower case.
        shown: Of the models that the file names: what the host reports of them, by name in lower case.
        running: The names of models in memory, in lower case.
        free_bytes: Bytes free for models; ``None`` if not known.
    """

    host: HostEntry
    error: Gguf2OllamaError | None = None
    opened: OpenDestination | None = None
    room: MemoryRoom | None = None
    models: Mapping[str, LocalModel] = dataclasses.field(default_factory=dict)
    shown: Mapping[str, ModelInfo] = dataclasses.field(default_factory=dict)
    running: frozenset[str] = frozenset()
    free_bytes: int | None = None


def hosts_of(fleet: Fleet, *, only: str | None, environ: Mapping[str, str]) -> tuple[HostEntry, ...]:
    """Return the hosts of a fleet.

    Args:
        fleet: The fleet.
        only: The name or address of the only one to use; its address where the file has no hosts.
        environ: The environment; ``OLLAMA_HOST`` is the host of a file that has none.

    Raises:
        UsageProblem: There is no such host.
    """
    if not fleet.hosts:
        address = ServerAddress.parse(only) if only else ServerAddress.from_environment(environ)
        return (HostEntry(name=_OLLAMA, address=address),)
    if only is None:
        return fleet.hosts
    with contextlib.suppress(UsageProblem):
        address = ServerAddress.parse(only)
        found = tuple(host for host in fleet.hosts if only == host.name or address == host.address)
        if found:
            return found
    names = ", ".join(host.name for host in fleet.hosts)
    raise UsageProblem(f"{fleet.file} has no host {only!r}", hint=f"use one of {names}")


def connect(
    host: HostEntry, *, folder: Path, environ: Mapping[str, str] = os.environ, ca_file: Path | None = None
) -> Client:
    """Return a client of a host, with its credentials and its certificates.

    A host of a file gets those of the file alone, never ``OLLAMA_API_KEY``.

    Args:
        host: The host.
        folder: Where relative paths of the file begin.
        environ: The environment.
        ca_file: Certificates for a host that names none.

    Raises:
        UsageProblem: A credential is missing, or the certificates cannot be read.
    """
    ca = folder / expand_home(host.ca) if host.ca else ca_file
    if host.place is None:
        return Client(host.address, ca_file=ca)
    if host.token is not None:
        return Client(host.address, api_key=host.token.read(environ, folder=folder), ca_file=ca)
    if host.user is not None and host.password is not None:
        basic = (host.user, host.password.read(environ, folder=folder))
        return Client(host.address, basic=basic, ca_file=ca)
    return Client(host.address, api_key="", ca_file=ca)


def observe(host: HostEntry, client: Client, *, names: Sequence[ModelName]) -> Observation:
    """Return what a host has.

    Args:
        host: The host.
        client: Its client.
        names: The models to look at closely.
    """
    try:
        return _observe(host, client, names)
    except Gguf2OllamaError as error:
        return Observation(host=host, error=_explained(error, host))


def _observe(host: HostEntry, client: Client, names: Sequence[ModelName]) -> Observation:
    # whether the server can pull is not tried before there is something to make
    opened = open_server(client, via=host.via, tests_pull=False)
    listed = {
        _full(model.name): model
        for model in list_once(client.list()).models
        if not model.name.startswith(f"{TEMPORARY_NAMESPACE}/") and not model.remote_host
    }
    wanted = [name for name in names if name.full.lower() in listed]
    with ThreadPoolExecutor(max_workers=4) as pool:
        shown = dict(zip(wanted, pool.map(lambda name: _show(client, name), wanted), strict=True))
    return Observation(
        host=host,
        opened=opened,
        room=find_memory(opened)[1],
        models=listed,
        shown={name.full.lower(): info for name, info in shown.items() if info is not None},
        running=frozenset(_full(model.name) for model in client.ps()),
        free_bytes=free_server_bytes(client),
    )


def _show(client: Client, name: ModelName) -> ModelInfo | None:
    try:
        return client.show(name)
    except (NotFound, ServerRefused):  # it is listed, and broken or just removed
        return None


def _full(name: str) -> str:
    try:
        return ModelName.parse(name).full.lower()
    except UsageProblem:
        return name.lower()


def _explained(error: Gguf2OllamaError, host: HostEntry) -> Gguf2OllamaError:
    """Return the error with the place of what to correct, for a host of a file."""
    if host.place is None:
        return error
    if isinstance(error, ServerRefused) and error.status in {_UNAUTHORIZED, _FORBIDDEN}:
        credential = "token" if host.token else "user or password" if host.user else None
        given = host.token or host.password
        what = f"does not accept its {credential}" if credential else "requires authentication"
        hint = "give the host a token, or user and password, in the file"
        if given is not None:
            hint = f"check {f'the variable {given.env}' if given.env else given.file}"
        return ServerRefused(
            f"{host.place}: host {host.name} ({host.address}) {what} (HTTP {error.status})",
            hint=hint,
            status=error.status,
        )
    if not error.message.startswith(str(host.place.file)):
        error.message = f"{host.place}: host {host.name}: {error.message}"
    return error


def over_hosts(
    work: Callable[[_T], None], items: Sequence[_T], *, most: int, interrupt: Callable[[], None]
) -> None:
    """Call a function for each item, several in parallel; it must handle its own errors.

    Args:
        work: The function.
        items: The items.
        most: How many run in parallel.
        interrupt: Called if the user interrupts; it has to make what runs end.

    Raises:
        BaseException: What ``work`` raised first, or an interruption; by then nothing runs.
    """
    with ThreadPoolExecutor(max_workers=max(1, min(most, len(items)))) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            while wait(futures, timeout=_WAIT).not_done:
                pass
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            interrupt()
            raise


@contextlib.contextmanager
def open_hosts(
    fleet: Fleet,
    hosts: Sequence[HostEntry],
    *,
    environ: Mapping[str, str],
    ca_file: Path | None,
    most: int,
) -> Iterator[tuple[Observation, ...]]:
    """Observe all hosts, and keep the connections to them open for the block.

    Args:
        fleet: The fleet.
        hosts: The hosts.
        environ: The environment, with credentials.
        ca_file: Certificates for hosts that name none.
        most: How many are observed in parallel.
    """
    found: dict[str, Observation] = {}
    with contextlib.ExitStack() as clients:
        opened: dict[str, Client] = {}
        for host in hosts:
            try:
                client = connect(host, folder=fleet.folder, environ=environ, ca_file=ca_file)
                opened[host.name] = clients.enter_context(client)
            except Gguf2OllamaError as error:
                found[host.name] = Observation(host=host, error=_explained(error, host))

        def look(host: HostEntry) -> None:
            names = [model.name for model in fleet.models_of(host)]
            found[host.name] = observe(host, opened[host.name], names=names)

        def interrupt() -> None:
            for client in opened.values():
                client.close()

        over_hosts(look, [host for host in hosts if host.name in opened], most=most, interrupt=interrupt)
        yield tuple(found[host.name] for host in hosts)
