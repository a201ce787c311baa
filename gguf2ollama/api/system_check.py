"""Check what a build depends on: this program, the server, the disks, memory, settings, the Hub."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama import __version__
from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import Gguf2OllamaError, ServerProblem, ServerUnreachable
from gguf2ollama.events import ignore
from gguf2ollama.install.stores import known_stores
from gguf2ollama.install.transport import choose_transport
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.names import ServerAddress, size
from gguf2ollama.net import public_url
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.versions import ServerFeatures
from gguf2ollama.sources.sites.huggingface import HubSite
from gguf2ollama.sources.sites.settings import HubSettings

__all__ = ["SystemFinding", "check_system"]

Level: TypeAlias = Literal["ok", "note", "warning", "error"]

_VARIABLES = lazy_pattern(
    r"OLLAMA_\w+|HF_\w+|HUGGING_?FACE_\w+|MODELSCOPE_\w+|GGUF2OLLAMA_\w+|TRANSFORMERS_OFFLINE"
    r"|XDG_CACHE_HOME|SSL_CERT_(?:FILE|DIR)|(?:HTTPS?|ALL|NO)_PROXY|NO_COLOR",
    re.IGNORECASE,
)
_SECRET = lazy_pattern(r"TOKEN|KEY|SECRET|PASSWORD|COOKIE", re.IGNORECASE)
_DEVELOPERS = frozenset({"dev", "docs"})  # what users never need
_LITTLE_SPACE = 5 << 30  # bytes; less than most models take


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFinding:
    """What was found of one topic.

    Attributes:
        topic: What was looked at.
        level: ``ok``, or how much it matters.
        message: What was found, in one line; nothing secret is in it.
        hint: What to do, if anything.
    """

    topic: str
    level: Level
    message: str
    hint: str | None = None


def check_system(
    *,
    host: str | None = None,
    ca_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    takes_network: bool = True,
) -> Iterator[SystemFinding]:
    """Look at what a build depends on, and yield each finding when it is known; nothing is changed.

    Args:
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        environ: The environment variables.
        takes_network: Whether the Hub is asked for something.
    """
    yield SystemFinding(
        topic="program",
        level="ok",
        message=f"gguf2ollama {__version__}, Python {platform.python_version()}, {platform.platform()}",
    )
    yield from _extras()
    yield from _server(host, ca_file=ca_file, environ=environ)
    yield from _directories(environ)
    yield from _memory()
    yield from _settings(environ)
    yield from _hub(environ, takes_network=takes_network)


def _extras() -> Iterator[SystemFinding]:
    """Yield which optional dependencies are installed, by the metadata of this package."""
    try:
        requirements = metadata.requires("gguf2ollama") or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return
    by_extra: dict[str, list[str]] = {}
    for requirement in requirements:
        if found := re.search(r"""extra == ['"]([^'"]+)""", requirement):
            package = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            by_extra.setdefault(found[1], []).append(package)
    for extra, packages in sorted(by_extra.items()):
        if extra in _DEVELOPERS:
            continue
        versions = {package: _version(package) for package in packages}
        is_whole = None not in versions.values()
        yield SystemFinding(
            topic=f"extra {extra}",
            level="ok" if is_whole else "note",
            message=", ".join(
                f"{package} {version or 'is not installed'}" for package, version in versions.items()
            ),
            hint=None if is_whole else f"pip install 'gguf2ollama[{extra}]'",
        )


def _version(package: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def _server(host: str | None, *, ca_file: Path | None, environ: Mapping[str, str]) -> Iterator[SystemFinding]:
    try:
        address = ServerAddress.from_environment(environ) if host is None else ServerAddress.parse(host)
        with Client(address, ca_file=ca_file) as client:
            yield from _ask(client)
    except ServerUnreachable as error:
        yield SystemFinding(topic="server", level="warning", message=error.message, hint=error.hint)
    except Gguf2OllamaError as error:
        yield SystemFinding(topic="server", level="error", message=error.message, hint=error.hint)


def _ask(client: Client) -> Iterator[SystemFinding]:
    version = client.version()
    features = ServerFeatures.of(version)
    renders = "the chat templates of GGUFs" if features.native_templates else "Go TEMPLATEs alone"
    models, running = client.list(), client.ps()
    yield SystemFinding(
        topic="server",
        level="note" if version.note else "ok",
        message=version.note
        or f"Ollama {version.text} at {client.address.base_url} (models: {len(models)}, loaded:"
        f" {len(running)}); it renders {renders}",
    )
    try:
        choice = choose_transport(client, via="auto", tests_pull=False)
    except Gguf2OllamaError as error:
        yield SystemFinding(topic="transport", level="error", message=error.message, hint=error.hint)
    else:
        yield SystemFinding(
            topic="transport", level="ok", message=f"builds use {choice.transport}: {choice.reason}"
        )


def _directories(environ: Mapping[str, str]) -> Iterator[SystemFinding]:
    """Yield the model directories of this machine, and where downloads and caches are."""
    devices = set()
    for store in known_stores(environ):
        with contextlib.suppress(OSError, Gguf2OllamaError):
            if store.root.is_dir():
                devices.add(store.root.stat().st_dev)
                yield _store(store)
    with contextlib.suppress(Gguf2OllamaError):  # that a variable cannot be used is said of the settings
        yield from _cache("downloads", HubSettings.from_environment(environ).cache, devices=devices)
    if (own := cache_folder()) is not None:
        yield from _cache("cache", own, devices=set())


def _store(store: LocalStore) -> SystemFinding:
    free = shutil.disk_usage(store.root).free
    owner = "you" if store.keeps_owner else f"user {store.owner_name}"
    is_short = free < _LITTLE_SPACE
    return SystemFinding(
        topic="model directory",
        level="warning" if is_short else "ok",
        message=f"{store.root} belongs to {owner}, and is {'' if store.is_writable else 'not '}writable;"
        f" {size(free)} free",
        hint="remove models with `gguf2ollama rm`, or move the directory (OLLAMA_MODELS)"
        if is_short
        else None,
    )


def _cache(topic: str, folder: Path, *, devices: set[int]) -> Iterator[SystemFinding]:
    ancestor = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    if ancestor is None:
        return
    free, where = shutil.disk_usage(ancestor).free, f"{folder}: "
    if not folder.is_dir():
        where += "not there yet; "
    elif not os.access(folder, os.W_OK):
        yield SystemFinding(topic=topic, level="error", message=f"{folder} cannot be written")
        return
    if devices and ancestor.stat().st_dev not in devices:
        yield SystemFinding(
            topic=topic,
            level="note",
            message=f"{where}{size(free)} free, on another file system than Ollama's models, so that they"
            " are copied",
            hint="put both on one (HF_HUB_CACHE, OLLAMA_MODELS), and models take their size once",
        )
        return
    yield SystemFinding(
        topic=topic, level="warning" if free < _LITTLE_SPACE else "ok", message=f"{where}{size(free)} free"
    )


def _memory() -> Iterator[SystemFinding]:
    if (hardware := find_hardware()) is None:
        yield SystemFinding(topic="memory", level="note", message="the memory of this machine is not known")
        return
    room = hardware.room
    gpus = (
        ", ".join(f"{gpu.name} ({size(gpu.total_bytes)})" for gpu in hardware.gpus)
        or "no GPU that Ollama uses"
    )
    message = f"{size(hardware.ram_bytes)} of RAM, {size(room.ram)} of it for models; {gpus}"
    yield SystemFinding(topic="memory", level="ok", message=message)


def _settings(environ: Mapping[str, str]) -> Iterator[SystemFinding]:
    """Yield the variables that are set, without what is secret in them."""
    found = {name: value for name, value in environ.items() if value and _VARIABLES.fullmatch(name)}
    shown = ", ".join(f"{name}={_shown(name, value)}" for name, value in sorted(found.items()))
    yield SystemFinding(topic="environment", level="ok", message=shown or "no variables of Ollama or the Hub")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if (path := found.get(name)) and not Path(path).exists():
            yield SystemFinding(
                topic="environment", level="error", message=f"{name} names {path}, which does not exist"
            )


def _shown(name: str, value: str) -> str:
    if _SECRET.search(name) and not name.upper().endswith("_PATH"):
        return "(set)"
    with contextlib.suppress(Gguf2OllamaError):
        return public_url(value)
    return re.sub(r"^.*@", "", value, flags=re.DOTALL)  # a proxy without a scheme, with a password


def _hub(environ: Mapping[str, str], *, takes_network: bool) -> Iterator[SystemFinding]:
    try:
        settings = HubSettings.from_environment(environ)
    except Gguf2OllamaError as error:
        yield SystemFinding(topic="Hub", level="error", message=error.message, hint=error.hint)
        return
    if settings.is_offline:
        yield SystemFinding(topic="Hub", level="note", message="offline: only the cache is used")
    elif takes_network:
        yield _asked_hub(settings)


def _asked_hub(settings: HubSettings) -> SystemFinding:
    try:
        with HubSite(settings, retry_pauses=(), notify=ignore) as site:
            accepted = site.accepts_token()
    except ServerProblem as error:
        return SystemFinding(topic="Hub", level="warning", message=error.message, hint=error.hint)
    if accepted is False:
        return SystemFinding(
            topic="Hub",
            level="warning",
            message=f"{settings.endpoint} does not accept the token",
            hint="run: hf auth login",
        )
    if accepted:
        access = "the token is accepted"
    else:
        access = (
            "the token was not checked"
            if settings.token
            else "without a token, gated repositories are closed"
        )
    return SystemFinding(topic="Hub", level="ok", message=f"{settings.endpoint} answers; {access}")
