"""Prove that a model on a server is prompted as its authors meant."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from gguf2ollama.chat.authors import Authors, Claims, claims_of, read_authors
from gguf2ollama.chat.parity import Parity
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.detect import stops_for
from gguf2ollama.errors import NotFound
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.oci import MediaType
from gguf2ollama.ollama import Client, ModelInfo
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.progress import Progress, ignore
from gguf2ollama.refs import ModelName, ServerAddress
from gguf2ollama.usecases.live_checks import Check, live_checks
from gguf2ollama.usecases.prompts import compare_on_server
from gguf2ollama.usecases.routes import find_store
from gguf2ollama.usecases.source import find_model
from gguf2ollama.usecases.stand_in_on_server import stand_in_on_server

__all__ = ["Verification", "Way", "verify"]

Way: TypeAlias = Literal["native", "TEMPLATE", "RENDERER"]
_TEMPLATE_KEY = "tokenizer.chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found out about a model on a server.

    Attributes:
        name: The model.
        where: The server's address.
        version: The server's version.
        way: What renders its chats there.
        capabilities: What the server takes it to be able to do.
        authors: What its authors meant.
        claims: What their chat template makes something of; no other conversation is compared.
        parity: Each conversation, as meant and as the server renders it.
        checks: What was asked of the model itself.
        is_quick: Whether a tiny stand-in was asked in its place.
    """

    name: ModelName
    where: str
    version: str
    way: Way
    capabilities: tuple[str, ...]
    authors: Authors
    claims: Claims
    parity: Parity
    checks: tuple[Check, ...] = ()
    is_quick: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether every prompt is exact and no check failed."""
        return not self.parity.faults and all(check.state != "failed" for check in self.checks)


def verify(
    model: str,
    *,
    source: str | os.PathLike[str] | None = None,
    host: str | None = None,
    quick: bool = False,
    progress: Progress = ignore,
    tell: Callable[[str], None] = ignore,
) -> Verification:
    """Compare the prompts that a server makes for a model with those its authors meant, and try the model.

    Args:
        model: The model's name.
        source: The GGUF it was made of. Without it, the authors' template is taken from the server's store,
            where that is on this machine, or from what the server tells.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        quick: Whether a tiny stand-in with the same template and tokens is asked, and the model not loaded.
        progress: Told the prompts compared.
        tell: Told what is being done.

    Raises:
        InvalidInput: The authors' chat template is none.
        NotFound: There is no such model, or nobody tells the authors' template.
        ServerProblem: The server cannot be reached, or refuses.
    """
    name = ModelName.parse(model)
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address) as client, Renderer() as renderer:
        version = client.version()
        info = client.show(name)
        metadata = _metadata(client, name, info, source=source)
        authors = read_authors(metadata)
        if authors is None:
            raise NotFound(
                f"nobody tells how a chat with {name.short} is written: its GGUF has no chat template",
                hint="name the GGUF that has one with --source",
            )
        template = authors.load(renderer)
        claims = claims_of(template)
        way = _way(info, metadata)
        with _asked(client, name, info, metadata, way=way, quick=quick, tell=tell) as asked:
            client.unload(asked)  # see compare_on_server
            parity = compare_on_server(
                client,
                asked,
                info,
                authors=authors,
                template=template,
                claims=claims,
                path="native" if way == "native" else "go",
                version=version.text,
                meant_system=info.system,
                progress=progress,
            )
        marks = [stop.text for stop in stops_for(metadata, profile=None)]
        checks = () if quick else _checks(client, name, info, marks=marks, tell=tell)
    return Verification(
        name=name,
        where=address.base_url,
        version=version.text,
        way=way,
        capabilities=info.capabilities,
        authors=authors,
        claims=claims,
        parity=parity,
        checks=checks,
        is_quick=quick,
    )


@contextlib.contextmanager
def _asked(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    metadata: Mapping[str, Any],
    *,
    way: Way,
    quick: bool,
    tell: Callable[[str], None],
) -> Iterator[ModelName]:
    """Give the model that is asked for prompts: itself, or a stand-in that lives as long as the block."""
    if not quick:
        yield name
        return
    tell("making a stand-in")
    template = info.template if way == "TEMPLATE" else None
    with stand_in_on_server(client, name, metadata, info=info, template=template) as temporary:
        yield temporary


def _metadata(
    client: Client, name: ModelName, info: ModelInfo, *, source: str | os.PathLike[str] | None
) -> Mapping[str, Any]:
    """Find the metadata of the model's GGUF: in the file it was made of, in the store, or from the server."""
    if source is not None:
        return find_model(source).model.metadata
    store = find_store(client, environ=os.environ) if client.address.is_loopback else None
    if store is not None and (found := _in_store(store, name)) is not None:
        return found
    told = dict(client.show(name, verbose=True).metadata)
    if "{%" in info.template:  # a server that renders natively tells the chat template itself
        told[_TEMPLATE_KEY] = info.template
    return told


def _in_store(store: LocalStore, name: ModelName) -> Mapping[str, Any] | None:
    manifest = store.read_manifest(name)
    layers = manifest.layers if manifest else ()
    weights = next((one for one in layers if one.media_type == MediaType.MODEL.value), None)
    return None if weights is None else open_gguf(store.blob_path(weights.digest)).metadata


def _way(info: ModelInfo, metadata: Mapping[str, Any]) -> Way:
    if info.renderer:
        return "RENDERER"
    return "native" if info.template and info.template == metadata.get(_TEMPLATE_KEY) else "TEMPLATE"


def _checks(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    marks: Iterable[str],
    tell: Callable[[str], None],
) -> tuple[Check, ...]:
    tell("asking the model itself")
    return tuple(live_checks(client, str(name), capabilities=info.capabilities, marks=tuple(marks)))
