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
from gguf2ollama.usecases.inspect import Inspection, Preferences, inspect
from gguf2ollama.usecases.naming import suggest_name
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
        differences: Where the server made something else, which was allowed.
        is_done: Whether the model is there; false for a dry run.
    """

    name: ModelName
    inspection: Inspection
    version: ServerVersion
    regime: Regime
    where: str
    differences: tuple[str, ...] = ()
    is_done: bool = False


def build(
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str | None = None,
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
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
        store: A store's folder to write instead of asking a server.
        for_ollama: The version of Ollama that a store is written for; the newest tested when not given.
        load: Whether the model is loaded once, so that what the server cannot run is found now.
        allow_mismatch: Whether a model that differs from what was asked for is kept.
        dry_run: Whether to stop before anything is written.
        progress: Told the bytes hashed, copied and sent.
        tell: Told what is being done.
        preferences: See :class:`Preferences`.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
    """
    wanted = ModelName.parse(name) if name is not None else None
    if store is not None:
        version = _parse_version(for_ollama or _NEWEST_TESTED)
        plan = _plan(source, wanted, version, where=str(store), free_bytes="here", **preferences)
        if dry_run:
            return plan
        route = StoreRoute(
            store=LocalStore(Path(store)),
            regime=plan.regime,
            name=plan.name,
            files=plan.inspection.files,
            recipe=plan.inspection.recipe,
            progress=progress,
            tell=tell,
        )
        route.run()
        return dataclasses.replace(plan, is_done=True)
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
        server_route = UploadRoute(
            client=client,
            regime=plan.regime,
            name=plan.name,
            files=plan.inspection.files,
            recipe=plan.inspection.recipe,
            load=load,
            allow_mismatch=allow_mismatch,
            progress=progress,
            tell=tell,
        )
        return dataclasses.replace(plan, differences=server_route.run(), is_done=True)


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


def _parse_version(text: str) -> ServerVersion:
    try:
        return ServerVersion.parse(text)
    except ValueError as error:
        raise UsageProblem(f"{text!r} is no version of Ollama", hint="one reads 0.34.4") from error
