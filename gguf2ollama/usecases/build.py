"""Make an Ollama model of a GGUF."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ollama import Client, Regime, ServerVersion, regime
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.progress import Progress, ignore
from gguf2ollama.refs import ModelName, ServerAddress
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.hashing import Hashing
from gguf2ollama.usecases.image import lay_out_weights
from gguf2ollama.usecases.inspect import Inspection, Preferences, inspect
from gguf2ollama.usecases.lock_file import LockCheck
from gguf2ollama.usecases.naming import suggest_name
from gguf2ollama.usecases.obtain import obtain_model
from gguf2ollama.usecases.open_route import open_route
from gguf2ollama.usecases.routes import Choice, Via, choose_route
from gguf2ollama.usecases.server_build import ServerBuild
from gguf2ollama.usecases.source import ModelFiles
from gguf2ollama.usecases.store_route import StoreRoute
from gguf2ollama.usecases.target import NEWEST_TESTED, parse_version, target_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Built", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was made, or with ``dry_run`` would be.

    Attributes:
        name: The model's name.
        inspection: What the GGUF is, and the recipe.
        version: The Ollama it is for.
        regime: How that Ollama takes a GGUF.
        where: The server's address, or the folder of the store.
        via: The way it went, or would go.
        differences: Where the server made something else, which was allowed.
        is_done: Whether the model is there; false for a dry run.
    """

    name: ModelName
    inspection: Inspection
    version: ServerVersion
    regime: Regime
    where: str
    via: str = "store"
    differences: tuple[str, ...] = ()
    is_done: bool = False


def build(
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    rehash: bool = False,
    load: bool = True,
    verify: bool = True,
    allow_mismatch: bool = False,
    dry_run: bool = False,
    locked: str | os.PathLike[str] | None = None,
    stream: bool = False,
    progress: Progress = ignore,
    tell: Callable[[str], None] = ignore,
    **preferences: Unpack[Preferences],
) -> Built:
    """Make an Ollama model of a GGUF: on a server, or in the folder of a store with no server.

    A model of that name that is there already stays as it was until the new one has been checked.

    Args:
        source: A GGUF file, any shard of one, a folder, or a place on the Hub: ``owner/repo``,
            ``owner/repo:QUANT``, ``hf://owner/repo/path@revision`` or the address of a page.
        name: The model's name; made from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        via: The way to the server: ``"link"`` into its store, ``"pull"`` by the server from us, ``"upload"``
            through its interface, or ``"auto"`` for the first of these that works.
        store: A store's folder to write instead of asking a server.
        for_ollama: The version of Ollama that a store is written for; the newest tested when not given.
        rehash: Whether files are hashed even where their digests are remembered.
        load: Whether the model is loaded once, so that what the server cannot run is found now.
        verify: Whether prompts are compared with those the authors meant: offline to choose the template, and
            then, where the model is loaded, on the server.
        allow_mismatch: Whether a model that differs from what was asked for is kept.
        dry_run: Whether to stop before anything is written.
        locked: A lock file; what is made is what it says, or nothing.
        stream: Whether what the server lacks goes from the Hub through to it, with no copy here.
        progress: Told the bytes downloaded, hashed, copied and sent.
        tell: Told what is being done.
        preferences: See :class:`Preferences`.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
    """
    wanted = None if name is None else _parse_name(name)
    _check(to_store=store is not None, via=via, for_ollama=for_ollama, stream=stream)
    via = "upload" if stream else via
    lock = LockCheck(locked)
    source, preferences = lock.take(source, preferences)
    digests = DigestCache(is_trusted=not rehash)
    with Hashing(cache=digests, progress=progress) as hashing:
        files = obtain_model(
            source,
            projectors=preferences.get("projectors", ()),
            wishes=preferences.get("hub"),
            digests=None if dry_run or stream else digests,
            is_here=store is not None or _address(host).is_loopback,
            progress=progress,
            tell=tell,
        )
        lock.require_files(files)
        if not dry_run and not stream and preferences.get("chat_template") is None:
            # what most servers will be given, while the server is asked and the recipe is made
            hashing.begin(lay_out_weights(files, takes_shards=True))
        if store is not None:
            version = parse_version(for_ollama or NEWEST_TESTED)
            plan = _plan(
                files,
                wanted,
                version,
                where=str(store),
                displaces=False,
                free_bytes="here",
                verify=verify,
                **preferences,
            )
            lock.require_plan(plan)
            if not dry_run:
                image = plan.inspection.lay_out_image(takes_shards=plan.regime.keeps_shards)
                folder = LocalStore(Path(store))
                StoreRoute(store=folder, image=image, hashing=hashing, progress=progress, tell=tell).make(
                    plan.name
                )
            return dataclasses.replace(plan, is_done=not dry_run)
        address = _address(host)
        with Client(address) as client:
            version = client.version()
            if version.note:
                tell(version.note)
            choice = None if dry_run else choose_route(client, via=via)
            if choice is not None:
                tell(f"way: {choice.via}, {choice.reason}")
            plan = _plan(
                files,
                wanted,
                version,
                where=address.base_url,
                displaces=_may_upload(choice, via=via, is_here=address.is_loopback),
                free_bytes="here" if address.is_loopback else None,
                takes_patches=not stream,
                verify=verify,
                **preferences,
            )
            lock.require_plan(plan)
            if choice is None:
                return plan
            server_build = ServerBuild(
                client=client,
                name=plan.name,
                recipe=plan.inspection.recipe,
                load=load,
                allow_mismatch=allow_mismatch,
                tell=tell,
                tried=plan.inspection.tried,
                progress=progress,
            )
            route = open_route(
                plan.inspection,
                plan.regime,
                choice,
                client=client,
                hashing=hashing,
                stream=stream,
                progress=progress,
                tell=tell,
            )
            return dataclasses.replace(
                plan, via=choice.via, differences=server_build.run(route), is_done=True
            )


def _check(*, to_store: bool, via: Via, for_ollama: str | None, stream: bool) -> None:
    if to_store and via != "auto":
        raise UsageProblem("--via and --store exclude each other", hint="--store asks no server")
    if not to_store and for_ollama is not None:
        raise UsageProblem("--for-ollama goes with --store", hint="a server is asked for its version")
    if stream and (to_store or via not in {"auto", "upload"}):
        raise UsageProblem("--stream is an upload to a server", hint="leave out --store and --via")


def _may_upload(choice: Choice | None, *, via: Via, is_here: bool) -> bool:
    """Tell whether the model may be made by ``create``, which looks for a template of its own."""
    if choice is None:
        return via == "upload" or not is_here
    return choice.via == "upload" or not choice.is_certain


def _plan(
    files: ModelFiles,
    name: ModelName | None,
    version: ServerVersion,
    *,
    where: str,
    displaces: bool,
    free_bytes: Literal["here"] | None,
    verify: bool,
    takes_patches: bool = True,
    **preferences: Unpack[Preferences],
) -> Built:
    target = dataclasses.replace(target_of(version, displaces=displaces), takes_patches=takes_patches)
    inspection = inspect(files, target=target, free_bytes=free_bytes, verify=verify, **preferences)
    return Built(
        name=name or suggest_name(inspection.model.name),
        inspection=inspection,
        version=version,
        regime=regime(version),
        where=where,
    )


def _address(host: str | None) -> ServerAddress:
    return ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)


def _parse_name(text: str) -> ModelName:
    name = ModelName.parse(text)
    if name.has_reserved_tag:
        raise UsageProblem(
            f"Ollama takes the tag {name.tag} for where a model runs, and would not find {name.short} here",
            hint="choose another tag",
        )
    return name
