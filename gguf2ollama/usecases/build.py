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
from gguf2ollama.recipe import Target
from gguf2ollama.refs import ModelName, ServerAddress
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.image import Image, lay_out_image
from gguf2ollama.usecases.inspect import Inspection, Preferences, inspect
from gguf2ollama.usecases.naming import suggest_name
from gguf2ollama.usecases.routes import Choice, Via, choose_route
from gguf2ollama.usecases.server_build import FirstThatWorks, Route, ServerBuild
from gguf2ollama.usecases.store_route import StoreRoute
from gguf2ollama.usecases.upload_route import UploadRoute

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Built", "build"]

_NEWEST_TESTED = "0.34.4"


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

    def lay_out_image(self, *, takes_shards: bool) -> Image:
        """Lay out what is written; see :func:`gguf2ollama.usecases.image.lay_out_image`."""
        return lay_out_image(self.inspection.files, recipe=self.inspection.recipe, takes_shards=takes_shards)


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
    allow_mismatch: bool = False,
    dry_run: bool = False,
    progress: Progress = ignore,
    tell: Callable[[str], None] = ignore,
    **preferences: Unpack[Preferences],
) -> Built:
    """Make an Ollama model of a GGUF: on a server, or in the folder of a store with no server.

    A model of that name that is there already stays as it was until the new one has been checked.

    Args:
        source: A GGUF file, any shard of one, or a folder.
        name: The model's name; made from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        via: The way to the server: ``"link"`` into its store, ``"pull"`` by the server from us, ``"upload"``
            through its interface, or ``"auto"`` for the first of these that works.
        store: A store's folder to write instead of asking a server.
        for_ollama: The version of Ollama that a store is written for; the newest tested when not given.
        rehash: Whether files are hashed even where their digests are remembered.
        load: Whether the model is loaded once, so that what the server cannot run is found now.
        allow_mismatch: Whether a model that differs from what was asked for is kept.
        dry_run: Whether to stop before anything is written.
        progress: Told the bytes hashed, copied and sent.
        tell: Told what is being done.
        preferences: See :class:`Preferences`.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
    """
    wanted = None if name is None else _parse_name(name)
    cache = DigestCache(is_trusted=not rehash)
    if store is not None:
        if via != "auto":
            raise UsageProblem("--via and --store exclude each other", hint="--store asks no server")
        version = _parse_version(for_ollama or _NEWEST_TESTED)
        plan = _plan(source, wanted, version, where=str(store), free_bytes="here", **preferences)
        if not dry_run:
            folder = LocalStore(Path(store))
            image = plan.lay_out_image(takes_shards=plan.regime.keeps_shards)
            StoreRoute(store=folder, image=image, cache=cache, progress=progress, tell=tell).make(plan.name)
        return dataclasses.replace(plan, is_done=not dry_run)
    if for_ollama is not None:
        raise UsageProblem("--for-ollama goes with --store", hint="a server is asked for its version")
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address) as client:
        version = client.version()
        if version.note:
            tell(version.note)
        free_bytes: Literal["here"] | None = "here" if address.is_loopback else None
        plan = _plan(source, wanted, version, where=address.base_url, free_bytes=free_bytes, **preferences)
        if dry_run:
            return plan
        choice = choose_route(client, via=via)
        tell(f"way: {choice.via}, {choice.reason}")
        server_build = ServerBuild(
            client=client,
            name=plan.name,
            recipe=plan.inspection.recipe,
            load=load,
            allow_mismatch=allow_mismatch,
            tell=tell,
        )
        route = _open_route(plan, choice, client=client, cache=cache, progress=progress, tell=tell)
        return dataclasses.replace(plan, via=choice.via, differences=server_build.run(route), is_done=True)


def _open_route(
    plan: Built,
    choice: Choice,
    *,
    client: Client,
    cache: DigestCache,
    progress: Progress,
    tell: Callable[[str], None],
) -> Route:
    upload = UploadRoute(
        client=client,
        image=plan.lay_out_image(takes_shards=plan.regime.takes_shards),
        recipe=plan.inspection.recipe,
        cache=cache,
        progress=progress,
    )
    if choice.via == "upload":
        return upload
    image = plan.lay_out_image(takes_shards=plan.regime.keeps_shards)
    if choice.store is not None:
        return StoreRoute(store=choice.store, image=image, cache=cache, progress=progress, tell=tell)
    from gguf2ollama.usecases.pull_route import PullRoute  # noqa: PLC0415 - an HTTP server, for this way alone

    pull = PullRoute(client=client, image=image, cache=cache, progress=progress)
    return pull if choice.is_certain else FirstThatWorks(first=pull, otherwise=upload, tell=tell)


def _plan(
    source: str | os.PathLike[str],
    name: ModelName | None,
    version: ServerVersion,
    *,
    where: str,
    free_bytes: Literal["here"] | None,
    **preferences: Unpack[Preferences],
) -> Built:
    how = regime(version)
    if not how.takes_files:
        raise UsageProblem(
            f"Ollama {version} at {where} is too old: models are made over its interface from 0.5.5 on",
            hint="update Ollama",
        )
    target = Target(version=version.text, native_templates=how.native_templates)
    inspection = inspect(source, target=target, free_bytes=free_bytes, **preferences)
    return Built(
        name=name or suggest_name(inspection.model.name),
        inspection=inspection,
        version=version,
        regime=how,
        where=where,
    )


def _parse_name(text: str) -> ModelName:
    name = ModelName.parse(text)
    if name.has_reserved_tag:
        raise UsageProblem(
            f"Ollama takes the tag {name.tag} for where a model runs, and would not find {name.short} here",
            hint="choose another tag",
        )
    return name


def _parse_version(text: str) -> ServerVersion:
    try:
        return ServerVersion.parse(text)
    except ValueError as error:
        raise UsageProblem(f"{text!r} is no version of Ollama", hint="one reads 0.34.4") from error
