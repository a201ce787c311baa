"""Make an Ollama model of a GGUF."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from gguf2ollama.usecases.server_build import ServerBuild, WayClosed
from gguf2ollama.usecases.source import ModelFiles
from gguf2ollama.usecases.store_route import StoreRoute
from gguf2ollama.usecases.target import NEWEST_TESTED, parse_version, require_uploads, target_of

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
        job = _Job(
            files=files,
            name=wanted,
            lock=lock,
            hashing=hashing,
            load=load,
            verify=verify,
            allow_mismatch=allow_mismatch,
            stream=stream,
            progress=progress,
            tell=tell,
            preferences=preferences,
        )
        if store is not None:
            version = parse_version(for_ollama or NEWEST_TESTED)
            return job.to_store(Path(store), version=version, dry_run=dry_run)
        with Client(_address(host)) as client:
            return job.to_server(client, via="upload" if stream else via, dry_run=dry_run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One model to be made, wherever that is."""

    files: ModelFiles
    name: ModelName | None
    lock: LockCheck
    hashing: Hashing
    load: bool
    verify: bool
    allow_mismatch: bool
    stream: bool
    progress: Progress
    tell: Callable[[str], None]
    preferences: Preferences

    def to_store(self, folder: Path, *, version: ServerVersion, dry_run: bool) -> Built:
        """Make it in the folder of a store."""
        plan = self._plan(version, where=str(folder), displaces=False, is_here=True)
        if not dry_run:
            StoreRoute(
                store=LocalStore(folder),
                image=plan.inspection.lay_out_image(takes_shards=plan.regime.keeps_shards),
                hashing=self.hashing,
                progress=self.progress,
                tell=self.tell,
            ).make(plan.name)
        return dataclasses.replace(plan, is_done=not dry_run)

    def to_server(self, client: Client, *, via: Via, dry_run: bool) -> Built:
        """Make it on a server; where that cannot pull from us after all, by an upload."""
        version = client.version()
        if version.note:
            self.tell(version.note)
        if dry_run:
            may_upload = via == "upload" or not client.address.is_loopback
            if may_upload:
                require_uploads(version)
            return self._plan_for(client, version, displaces=may_upload)
        choice = choose_route(client, via=via)
        self.tell(f"way: {choice.via}, {choice.reason}")
        try:
            return self._make(client, version, choice)
        except WayClosed as closed:
            self.tell(f"that did not work ({closed}), so it is uploaded")
            return self._make(client, version, Choice(via="upload", reason="the server cannot pull from us"))

    def _make(self, client: Client, version: ServerVersion, choice: Choice) -> Built:
        if choice.via == "upload":
            require_uploads(version)
        # `create`, which ends an upload, looks for a template of its own
        plan = self._plan_for(client, version, displaces=choice.via == "upload")
        route = open_route(
            plan.inspection,
            plan.regime,
            choice,
            client=client,
            hashing=self.hashing,
            stream=self.stream,
            progress=self.progress,
            tell=self.tell,
        )
        server_build = ServerBuild(
            client=client,
            name=plan.name,
            recipe=plan.inspection.recipe,
            load=self.load,
            allow_mismatch=self.allow_mismatch,
            tell=self.tell,
            tried=plan.inspection.tried,
            progress=self.progress,
        )
        return dataclasses.replace(plan, via=choice.via, differences=server_build.run(route), is_done=True)

    def _plan_for(self, client: Client, version: ServerVersion, *, displaces: bool) -> Built:
        address = client.address
        return self._plan(version, where=address.base_url, displaces=displaces, is_here=address.is_loopback)

    def _plan(self, version: ServerVersion, *, where: str, displaces: bool, is_here: bool) -> Built:
        target = target_of(version, displaces=displaces)
        inspection = inspect(
            self.files,
            target=dataclasses.replace(target, takes_patches=not self.stream),
            free_bytes="here" if is_here else None,
            verify=self.verify,
            **self.preferences,
        )
        plan = Built(
            name=self.name or suggest_name(inspection.model.name),
            inspection=inspection,
            version=version,
            regime=regime(version),
            where=where,
        )
        self.lock.require_plan(plan)
        return plan


def _check(*, to_store: bool, via: Via, for_ollama: str | None, stream: bool) -> None:
    if to_store and via != "auto":
        raise UsageProblem("--via and --store exclude each other", hint="--store asks no server")
    if not to_store and for_ollama is not None:
        raise UsageProblem("--for-ollama goes with --store", hint="a server is asked for its version")
    if stream and (to_store or via not in {"auto", "upload"}):
        raise UsageProblem("--stream is an upload to a server", hint="leave out --store and --via")


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
