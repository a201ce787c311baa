"""Prove that a model on a server is prompted as its authors meant."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Parity
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, Claims, claims_of, read_authors
from gguf2ollama.errors import Gguf2OllamaError, NotFound, UsageProblem, VerificationFailed
from gguf2ollama.events import Progress, ignore
from gguf2ollama.families import stops_for
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.install.transport import find_store
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.oci import MediaType
from gguf2ollama.ollama import Client, ModelInfo, ServerFeatures, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.sources.local import find_model
from gguf2ollama.verification.baseline import ByItself, LeftOut, ollama_by_itself
from gguf2ollama.verification.probe_server import Settings, stand_in_on_server
from gguf2ollama.verification.prompt_check import Mismatches, Way, compare_on_server, shows_prompts, way_of
from gguf2ollama.verification.smoke_tests import Check, live_checks

__all__ = ["Verification", "verify"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_SHOWN_BY_PROMPTS = frozenset({"tools", "thinking"})  # of the capabilities


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
        by_itself: What the server would have made of the GGUF by itself.
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
    by_itself: ByItself | LeftOut
    checks: tuple[Check, ...] = ()
    is_quick: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether every prompt that users meet is exact, some plain ones among them, and no check failed.

        Contents that hardly any chat has, reasoning history and assistant prefill are counted and shown: no
        way of Ollama's renders those of all models.
        """
        has_plain = self.parity.score("plain").compared > 0
        is_exact = has_plain and not Mismatches(self.parity.faults).usual
        return is_exact and all(one.state != "failed" for one in self.checks)


def verify(
    model: str,
    *,
    source: str | os.PathLike[str] | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    quick: bool = False,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> Verification:
    """Compare the prompts that a server makes for a model with those its authors meant, and try the model.

    Beside it, a tiny stand-in tells what the server would have made of the GGUF by itself. The model is not
    left in memory, unless it was there before.

    Args:
        model: The model's name.
        source: The GGUF it was made of. Without it, the authors' template is taken from the server's store,
            where that is on this machine, or from what the server tells.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        quick: Whether a tiny stand-in with the same template and tokens is asked, and the model not loaded.
        progress: Told the prompts compared.
        notify: Called with a line about each step.

    Raises:
        InvalidInput: The authors' chat template is none.
        NotFound: There is no such model, it has no chats, or nobody tells the authors' template.
        ServerProblem: The server cannot be reached, refuses, or cannot run the model.
        UsageProblem: The server is too old to show its prompts.
        VerificationFailed: A stand-in is not prompted as the model is.
    """
    name = ModelName.parse(model)
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address, ca_file=ca_file, notify=notify) as client, Renderer() as renderer:
        version = client.version()
        if not shows_prompts(version):
            raise UsageProblem(
                f"Ollama {version} at {address.base_url} is too old: prompts are shown from 0.11.5 on",
                hint="update Ollama",
            )
        if version.note:
            notify(version.note)
        info = client.show(name)
        _require_chats(name, info)
        metadata = _metadata(client, name, info, source=source, version=version)
        authors = read_authors(metadata)
        if authors is None:
            raise NotFound(
                f"nobody tells how a chat with {name.short} is written: no chat template is found",
                hint="name the GGUF that has one with --source",
            )
        template = authors.load(renderer)
        subject = _Subject(
            client=client,
            name=name,
            info=info,
            metadata=metadata,
            authors=authors,
            template=template,
            claims=claims_of(template),
            way=way_of(info, metadata),
            version=version.rules,
            progress=progress,
            notify=notify,
        )
        with contextlib.nullcontext() if quick else subject.left_as_it_was():
            notify("asking what Ollama makes of it by itself")
            by_itself = subject.by_itself()
            parity, checks = subject.in_quick() if quick else subject.in_full()
    return Verification(
        name=name,
        where=address.base_url,
        version=version.text,
        way=subject.way,
        capabilities=info.capabilities,
        authors=authors,
        claims=subject.claims,
        parity=parity,
        by_itself=by_itself,
        checks=checks,
        is_quick=quick,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A model on a server, and what has to be known to compare its prompts."""

    client: Client
    name: ModelName
    info: ModelInfo
    metadata: Mapping[str, Any]
    authors: Authors
    template: AuthorsTemplate
    claims: Claims
    way: Way
    version: str
    progress: Progress
    notify: Callable[[str], None]

    @contextlib.contextmanager
    def left_as_it_was(self) -> Iterator[None]:
        """Have the model in memory after the block only if it was there before."""
        was_loaded = self.name.short in {running.name for running in self.client.ps()}
        try:
            yield
        finally:
            if not was_loaded:
                with contextlib.suppress(Gguf2OllamaError):
                    self.client.unload(self.name)

    def in_full(self) -> tuple[Parity, tuple[Check, ...]]:
        """Load the model, compare its prompts and try it."""
        self.notify("loading the model")
        self.client.unload(self.name)  # see compare_on_server
        self.client.load(self.name)
        self.notify("comparing prompts")
        parity = self._compare(self.name, self.info)
        self.notify("asking the model itself")
        marks = tuple(stop.text for stop in stops_for(self.metadata, profile=None))
        found = live_checks(self.client, str(self.name), capabilities=self.info.capabilities, marks=marks)
        return parity, tuple(found)

    def in_quick(self) -> tuple[Parity, tuple[Check, ...]]:
        """Compare the prompts of a stand-in; the model is not loaded."""
        info, metadata = self.info, self.metadata
        if self.way == "native":  # what the server has may be changed
            metadata = {**metadata, _TEMPLATE_KEY: info.template}
        settings = Settings(
            family=info.details.family,
            template=info.template if self.way == "TEMPLATE" else "",
            system=info.system,
            renderer=info.renderer,
            parser=info.parser,
        )
        self.notify("comparing prompts of a stand-in")
        with stand_in_on_server(self.client, self.name, metadata, settings=settings) as temporary:
            self._require_alike(self.client.show(temporary))
            return self._compare(temporary, dataclasses.replace(info, messages=())), ()

    def by_itself(self) -> ByItself | LeftOut:
        """Compare the prompts of what the server makes of the GGUF by itself."""
        return ollama_by_itself(
            self.client,
            self.name,
            self.metadata,
            authors=self.authors,
            template=self.template,
            claims=self.claims,
            version=self.version,
            progress=self.progress,
        )

    def _compare(self, asked: ModelName, info: ModelInfo) -> Parity:
        return compare_on_server(
            self.client,
            asked,
            info,
            authors=self.authors,
            template=self.template,
            claims=self.claims,
            way=self.way,
            version=self.version,
            meant_system=info.system,
            progress=self.progress,
        )

    def _require_alike(self, told: ModelInfo) -> None:
        same = told.template == self.info.template
        if not same or (set(told.capabilities) ^ set(self.info.capabilities)) & _SHOWN_BY_PROMPTS:
            raise VerificationFailed(
                f"the server prompts a stand-in of {self.name.short} in another way than the model itself",
                hint="leave out --quick",
            )


def _require_chats(name: ModelName, info: ModelInfo) -> None:
    """Refuse a model that makes embeddings; servers before 0.6.4 tell no capabilities."""
    if info.capabilities and "completion" not in info.capabilities:
        raise NotFound(
            f"{name.short} has no chats: it is for {', '.join(info.capabilities)}",
            hint="name a model that answers; `gguf2ollama list` shows what is there",
        )


def _metadata(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    source: str | os.PathLike[str] | None,
    version: ServerVersion,
) -> Mapping[str, Any]:
    """Find the metadata of the model's GGUF: in the file it was made of, in the store, or from the server."""
    if source is not None:
        return find_model(source).model.metadata
    store = find_store(client, environ=os.environ) if client.address.is_loopback else None
    reads_v2 = ServerFeatures.of(version).manifests_v2
    if store is not None and (found := _in_store(store, name, reads_v2=reads_v2)) is not None:
        return found
    told = dict(client.show(name, verbose=True).metadata)
    if way_of(info, told) == "native":  # then the server tells the chat template itself
        told[_TEMPLATE_KEY] = info.template
    return told


def _in_store(store: LocalStore, name: ModelName, *, reads_v2: bool) -> Mapping[str, Any] | None:
    manifest = store.read_manifest(name, reads_v2=reads_v2)
    layers = manifest.layers if manifest else ()
    weights = next((one for one in layers if one.media_type == MediaType.MODEL.value), None)
    return None if weights is None else open_gguf(store.blob_path(weights.digest)).metadata
