"""Check what a build depends on: this program, the server, the disks, memory, settings, the Hub."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama import __version__
from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._text import without_credentials
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
from gguf2ollama.sources.sites.modelscope import ModelScopeSite
from gguf2ollama.sources.sites.settings import HubSettings, ModelScopeSettings

__all__ = ["SystemFinding", "check_system"]

Level: TypeAlias = Literal["ok", "note", "warning", "error"]

_VARIABLES = lazy_pattern(
    r"OLLAMA_\w+|HF_\w+|HUGGING_?FACE_\w+|MODELSCOPE_\w+|GGUF2OLLAMA_\w+|TRANSFORMERS_OFFLINE"
    r"|XDG_CACHE_HOME|SSL_CERT_(?:FILE|DIR)|(?:HTTPS?|ALL|NO)_PROXY|NO_COLOR",
    re.IGNORECASE,
)
_SECRET = lazy_pattern(r"TOKEN|KEY|SECRET|PASS|COOKIE|AUTH|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 4  # characters of a secret; what is shorter is in too many words
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
    topics: dict[str, Iterator[SystemFinding]] = {
        "program": _program(),
        "server": _server(host, ca_file=ca_file, environ=environ),
        "model directory": _directories(environ),
        "memory": _memory(),
        "environment": _settings(environ),
        "network": _sites(environ, takes_network=takes_network),
    }
    secrets = _secrets(environ)
    for topic, findings in topics.items():
        for finding in _complete(topic, findings):
            yield dataclasses.replace(
                finding,
                message=_without(finding.message, secrets),
                hint=finding.hint and _without(finding.hint, secrets),
            )


def _complete(topic: str, findings: Iterator[SystemFinding]) -> Iterator[SystemFinding]:
    """Yield findings; where looking at one topic fails, the others are looked at all the same."""
    try:
        yield from findings
    except Gguf2OllamaError as error:
        yield SystemFinding(topic=topic, level="error", message=error.message, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - a report of first aid must not need any itself
        yield SystemFinding(
            topic=topic,
            level="error",
            message=f"bug in gguf2ollama: {type(error).__name__}: {error}",
            hint="report it with this output",
        )


def _program() -> Iterator[SystemFinding]:
    """Yield the versions of the program, and of what it depends on, by the metadata of this package."""
    yield SystemFinding(
        topic="program",
        level="ok",
        message=f"gguf2ollama {__version__}, Python {platform.python_version()}, {platform.platform()}",
    )
    try:
        requirements = metadata.requires("gguf2ollama") or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return
    by_extra: dict[str, list[str]] = {}
    for requirement in requirements:
        package = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        found = re.search(r"""extra == ['"]([^'"]+)""", requirement)
        by_extra.setdefault(found[1] if found else "", []).append(package)
    versions = {package: _version(package) for package in by_extra.pop("", [])}
    yield SystemFinding(
        topic="dependencies",
        level="ok",
        message=", ".join(f"{package} {version}" for package, version in versions.items() if version),
    )
    yield from _extras(by_extra)


def _extras(by_extra: Mapping[str, list[str]]) -> Iterator[SystemFinding]:
    """Yield which optional dependencies are installed."""
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
    devices, stores, is_found = set(), list(known_stores(environ)), False
    for store in stores:
        try:
            if store.root.is_dir():
                is_found = True
                devices.add(store.root.stat().st_dev)
                yield _store(store)
        except PermissionError:
            is_found = True
            yield SystemFinding(
                topic="model directory",
                level="note",
                message=f"{store.root} cannot be looked into by this user",
                hint="nothing has to be done: builds go through the server",
            )
        except (OSError, Gguf2OllamaError) as error:
            yield SystemFinding(
                topic="model directory",
                level="warning",
                message=f"{store.root}: {getattr(error, 'strerror', None) or error}",
                hint="check OLLAMA_MODELS",
            )
    if not is_found:
        yield SystemFinding(
            topic="model directory",
            level="note",
            message=f"no Ollama model directory found at {', '.join(str(store.root) for store in stores)}",
            hint="where it is elsewhere on this machine, give it with --store DIR, or set OLLAMA_MODELS",
        )
    with contextlib.suppress(Gguf2OllamaError):  # that a variable cannot be used is said of the site
        yield from _cache("downloads", HubSettings.from_environment(environ).cache, devices=devices)
    if _uses_modelscope(environ):
        with contextlib.suppress(Gguf2OllamaError):
            cache = ModelScopeSettings.from_environment(environ).cache
            yield from _cache("downloads of ModelScope", cache, devices=devices)
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
        yield SystemFinding(
            topic=topic,
            level="error",
            message=f"{folder} cannot be written",
            hint=f"check its owner: ls -ld {shlex.quote(str(folder))}",
        )
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
    is_short = free < _LITTLE_SPACE
    yield SystemFinding(
        topic=topic,
        level="warning" if is_short else "ok",
        message=f"{where}{size(free)} free",
        hint="free some space there, or move it (HF_HUB_CACHE, XDG_CACHE_HOME)" if is_short else None,
    )


def _memory() -> Iterator[SystemFinding]:
    if (hardware := find_hardware()) is None:
        yield SystemFinding(
            topic="memory",
            level="note",
            message="the memory of this machine is not known",
            hint="choose a quant and --ctx yourself",
        )
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
                topic="environment",
                level="error",
                message=f"{name} names {path}, which does not exist",
                hint=f"unset {name}, or set it to trusted certificates (PEM)",
            )


def _shown(name: str, value: str) -> str:
    if _is_secret(name):
        return "(set)"
    with contextlib.suppress(Gguf2OllamaError):
        return public_url(value)
    return without_credentials(value)  # a proxy without a scheme, with a password


def _secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must not be shown, whatever message it gets into, the longest first.

    The values of variables that are named for a secret, and user name, password and query of what looks like
    the address of something.
    """
    found = set()
    for name, value in environ.items():
        if not _VARIABLES.fullmatch(name):
            continue
        if _is_secret(name):
            found.add(value)
        elif not Path(value).exists():
            login = value.rpartition("@")[0].rpartition("://")[2] or value.rpartition("@")[0]
            user, _, password = login.partition(":")
            # a slash ends what is taken for the login, so that its parts get into messages one by one
            found |= {login, *(password or user).split("/"), value.partition("?")[2]}
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True))


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "(secret)")
    return text


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and not name.upper().endswith(("_PATH", "_FILE"))


def _sites(environ: Mapping[str, str], *, takes_network: bool) -> Iterator[SystemFinding]:
    """Yield whether the sites that models come from answer: the Hub, and ModelScope where it is set up."""
    yield _asked("Hub", lambda: _asked_hub(environ, takes_network=takes_network))
    if _uses_modelscope(environ):
        yield _asked("ModelScope", lambda: _asked_modelscope(environ, takes_network=takes_network))


def _uses_modelscope(environ: Mapping[str, str]) -> bool:
    return any(value and name.startswith("MODELSCOPE_") for name, value in environ.items())


def _asked(topic: str, ask: Callable[[], tuple[Level, str, str | None]]) -> SystemFinding:
    try:
        level, message, hint = ask()
    except ServerProblem as error:
        level, message, hint = "warning", error.message, error.hint
    except Gguf2OllamaError as error:  # a variable that cannot be used
        level, message, hint = "error", error.message, error.hint
    return SystemFinding(topic=topic, level=level, message=message, hint=hint)


def _asked_hub(environ: Mapping[str, str], *, takes_network: bool) -> tuple[Level, str, str | None]:
    settings = HubSettings.from_environment(environ)
    if settings.is_offline:
        return "note", "offline: only the cache is used", "unset HF_HUB_OFFLINE to use the Hub"
    if not takes_network:
        return "ok", f"{settings.endpoint} was not contacted", None
    with HubSite(settings, retry_pauses=(), notify=ignore) as site:
        accepted = site.accepts_token()
    if accepted is False:
        return "warning", f"{settings.endpoint} does not accept the token", "run: hf auth login"
    if accepted:
        access = "the token is accepted"
    elif settings.token:
        access = "the token was not checked"
    else:
        access = "without a token, gated repositories are closed"
    return "ok", f"{settings.endpoint} answers; {access}", None


def _asked_modelscope(environ: Mapping[str, str], *, takes_network: bool) -> tuple[Level, str, str | None]:
    settings = ModelScopeSettings.from_environment(environ)
    if settings.is_offline:
        return "note", "offline: only the cache is used", "unset HF_HUB_OFFLINE to use ModelScope"
    if not takes_network:
        return "ok", f"{settings.endpoint} was not contacted", None
    with ModelScopeSite(settings, retry_pauses=(), notify=ignore) as site:
        site.ping()
    return "ok", f"{settings.endpoint} answers", None
