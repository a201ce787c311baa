"""Verify that a model on a server is prompted exactly as its chat template says."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.answers.ends import find_ends, turn_marks
from gguf2ollama.chat.answers.turns import learn_turns
from gguf2ollama.chat.comparison import Parity
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, Claims, claims_of, read_authors
from gguf2ollama.errors import Gguf2OllamaError, NotFound, UsageProblem, VerificationFailed
from gguf2ollama.events import Progress, ignore
from gguf2ollama.families import Vocabulary
from gguf2ollama.families.fill_in import find_fill_in
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.install.locks import weights_lock
from gguf2ollama.install.stores import find_store
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.oci import MediaType
from gguf2ollama.ollama import Client, ModelInfo, ServerFeatures, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.sources.local import find_model
from gguf2ollama.sources.parse import server_model
from gguf2ollama.verification.answer_check import answer_warnings
from gguf2ollama.verification.baseline import NotCompared, OllamaDefault, ollama_default
from gguf2ollama.verification.probe_server import Settings, probe_on_server
from gguf2ollama.verification.prompt_check import (
    Mismatches,
    RenderedBy,
    compare_on_server,
    find_renderer,
    shows_prompts,
)
from gguf2ollama.verification.smoke_tests import Check, run_smoke_tests

__all__ = ["Verification", "verify"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_END_KEYS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
_SHOWN_BY_PROMPTS = frozenset({"tools", "thinking"})  # of the capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result of verifying a model on a server.

    Attributes:
        name: The model.
        server: The server's address.
        version: The server's version.
        rendered_by: What renders its chats there; ``None`` for a model that embeds texts.
        capabilities: The capabilities that the server reports.
        authors: Its chat template and tokens; ``None`` for a model without chats, which is tried alone.
        claims: The features that its chat template uses; no other conversations are compared.
        parity: Each conversation, as the chat template and as the server renders it.
        ollama_default: The same for a plain ``ollama create`` of the GGUF.
        checks: The smoke tests of the model itself.
        warnings: What of its answers the server is predicted not to parse, a sentence each.
        is_quick: Whether a tiny probe model was used instead.
    """

    name: ModelName
    server: str
    version: str
    rendered_by: RenderedBy | None
    capabilities: tuple[str, ...]
    authors: Authors | None
    claims: Claims
    parity: Parity
    ollama_default: OllamaDefault | NotCompared
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    is_quick: bool = False

    @property
    def hides_tools(self) -> bool:
        """Whether the server claims tools that its prompts do not show to the model."""
        is_native = self.rendered_by == "native"
        return is_native and "tools" in self.capabilities and not self.claims.offered_tools

    @property
    def is_verified(self) -> bool:
        """Whether every prompt of everyday use is exact, some plain ones among them, and no check failed.

        Rare contents, reasoning history and assistant prefill are counted and shown: Ollama cannot render
        those of all models. Of a model without chats, the checks alone count.
        """
        if self.authors is None:
            return bool(self.checks) and all(check.state != "failed" for check in self.checks)
        has_plain = self.parity.score("plain").compared > 0
        is_exact = has_plain and not Mismatches(self.parity.faults).usual
        return is_exact and all(check.state != "failed" for check in self.checks)


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
    """Compare the prompts that a server renders for a model with the reference prompts, and try the model.

    A model without chats is tried alone: one that embeds, or that continues texts and fills in the middle.
    A tiny probe model shows what a plain ``ollama create`` of the GGUF would render. The model is unloaded
    afterwards, unless it was loaded before.

    Args:
        model: The model's name, with or without ``ollama:`` before it.
        source: The GGUF that it was created from. Without it, the chat template is read from the server's
            store, if that is on this machine, or from what the server reports.
        host: The server's address; default: ``OLLAMA_HOST``.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        quick: Whether a tiny probe model with the same template and tokens is used instead of the model.
        progress: Called with the number of prompts compared.
        notify: Called with a line about each step.

    Raises:
        InvalidInput: The chat template is invalid.
        NotFound: There is no such model, it cannot chat, or its chat template cannot be found.
        ServerProblem: The server cannot be reached, refuses, or cannot run the model.
        UsageProblem: The server is too old to show its prompts, or the model has none for ``quick``.
        VerificationFailed: The probe model is prompted differently from the model.
    """
    named = server_model(model) if model.startswith("ollama:") else None
    name = named or ModelName.parse(model)
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with Client(address, ca_file=ca_file, notify=notify) as client, Renderer() as renderer:
        version = client.version()
        if not shows_prompts(version):
            raise UsageProblem(
                f"Ollama {version} at {address.base_url} is too old: it does not show prompts (0.11.5+ does)",
                hint="update Ollama",
            )
        if version.note:
            notify(version.note)
        info = client.show(name)
        embeds = _embeds(name, info)
        metadata = _metadata(client, name, info, source=source, version=version)
        authors = None if embeds else read_authors(metadata)
        if embeds or (authors is None and "insert" in info.capabilities):
            if quick:
                raise UsageProblem(
                    f"{name.short} does not chat, and --quick compares prompts of chats",
                    hint="leave out --quick",
                )
            with _left_as_it_was(client, name, info, notify=notify):
                notify("Trying the model")
                checks = tuple(_try_without_chats(client, name, info, metadata=metadata, embeds=embeds))
            return Verification(
                name=name,
                server=address.base_url,
                version=version.text,
                rendered_by=None,
                capabilities=info.capabilities,
                authors=None,
                claims=Claims(),
                parity=Parity(()),
                ollama_default=NotCompared("it does not chat"),
                checks=checks,
            )
        if authors is None:
            raise NotFound(
                f"no chat template found for {name.short}",
                hint="name the GGUF with --source",
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
            rendered_by=find_renderer(info, metadata),
            progress=progress,
            notify=notify,
        )
        with contextlib.nullcontext() if quick else _left_as_it_was(client, name, info, notify=notify):
            notify("Comparing with a plain ollama create")
            ollama_default = subject.ollama_default()
            parity, checks = subject.in_quick() if quick else subject.in_full()
        warnings: tuple[str, ...] = ()
        if subject.rendered_by == "native":
            warnings = answer_warnings(
                name,
                metadata=metadata,
                authors=authors,
                template=template,
                claims=subject.claims,
                version=version,
            )
    return Verification(
        name=name,
        server=address.base_url,
        version=version.text,
        rendered_by=subject.rendered_by,
        capabilities=info.capabilities,
        authors=authors,
        claims=subject.claims,
        parity=parity,
        ollama_default=ollama_default,
        checks=checks,
        warnings=warnings,
        is_quick=quick,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A model on a server, and what is needed to compare its prompts."""

    client: Client
    name: ModelName
    info: ModelInfo
    metadata: Mapping[str, Any]
    authors: Authors
    template: AuthorsTemplate
    claims: Claims
    rendered_by: RenderedBy
    progress: Progress
    notify: Callable[[str], None]

    def in_full(self) -> tuple[Parity, tuple[Check, ...]]:
        """Load the model, compare its prompts and try it."""
        self.notify("Loading the model")
        self.client.unload(self.name)  # see compare_on_server
        self.client.load(self.name)
        self.notify("Comparing prompts")
        parity = self._compare(self.name, self.info)
        self.notify("Asking the model")
        named = {key: self.info.metadata.get(key) for key in _END_KEYS}  # of the file that the server has
        turns, vocabulary = learn_turns(self.template), Vocabulary({**self.metadata, **named})
        found = run_smoke_tests(
            self.client,
            str(self.name),
            capabilities=_true_capabilities(self.info),
            turn_marks=turn_marks(turns, vocabulary),
            missed_ends=[
                end.text
                for end in find_ends(turns, vocabulary)
                if end.number is not None and not end.is_parsed
            ],
            fill_in=find_fill_in(self.metadata),
        )
        return parity, tuple(found)

    def in_quick(self) -> tuple[Parity, tuple[Check, ...]]:
        """Compare the prompts of a probe model; the model is not loaded."""
        info, metadata = self.info, self.metadata
        if self.rendered_by == "native":  # the template on the server may have been changed
            metadata = {**metadata, _TEMPLATE_KEY: info.template}
        settings = Settings(
            family=info.details.family,
            template=info.template if self.rendered_by == "TEMPLATE" else "",
            system=info.system,
            renderer=info.renderer,
            parser=info.parser,
        )
        self.notify("Comparing prompts of a probe model")
        with probe_on_server(self.client, self.name, metadata, settings=settings) as temporary:
            self._require_alike(self.client.show(temporary))
            return self._compare(temporary, dataclasses.replace(info, messages=())), ()

    def ollama_default(self) -> OllamaDefault | NotCompared:
        """Compare the prompts of a plain ``ollama create`` of the GGUF."""
        return ollama_default(
            self.client,
            self.name,
            self.metadata,
            authors=self.authors,
            template=self.template,
            claims=self.claims,
            progress=self.progress,
        )

    def _compare(self, name: ModelName, info: ModelInfo) -> Parity:
        return compare_on_server(
            self.client,
            name,
            info,
            authors=self.authors,
            template=self.template,
            claims=self.claims,
            rendered_by=self.rendered_by,
            expected_system=info.system,
            progress=self.progress,
        )

    def _require_alike(self, probe: ModelInfo) -> None:
        same = probe.template == self.info.template
        if not same or (set(probe.capabilities) ^ set(self.info.capabilities)) & _SHOWN_BY_PROMPTS:
            raise VerificationFailed(
                f"the server prompts a probe model differently from {self.name.short} itself",
                hint="run it without --quick",
            )


@contextlib.contextmanager
def _left_as_it_was(
    client: Client, name: ModelName, info: ModelInfo, *, notify: Callable[[str], None]
) -> Iterator[None]:
    """Unload a model after the block, unless it was loaded before; no build does so while the block runs."""
    with weights_lock(client, info, notify=notify):
        was_loaded = name.short in {running.name for running in client.ps()}
        try:
            yield
        finally:
            if not was_loaded:
                with contextlib.suppress(Gguf2OllamaError):
                    client.unload(name)


def _try_without_chats(
    client: Client, name: ModelName, info: ModelInfo, *, metadata: Mapping[str, Any], embeds: bool
) -> Iterable[Check]:
    """Try a model that embeds, or that continues texts and fills in the middle."""
    if embeds:
        from gguf2ollama.verification.embedding_tests import run_embedding_tests  # noqa: PLC0415 - of few models

        return run_embedding_tests(client, name.short, metadata=metadata, parameters=info.parameters)
    fill_in = find_fill_in(metadata)
    return run_smoke_tests(client, str(name), capabilities=("insert",), turn_marks=(), fill_in=fill_in)


def _embeds(name: ModelName, info: ModelInfo) -> bool:
    """Return whether a model embeds texts; servers before 0.6.4 report no capabilities.

    Raises:
        NotFound: It has other capabilities than chats and embeddings.
    """
    if "embedding" in info.capabilities and "completion" not in info.capabilities:
        return True
    if info.capabilities and "completion" not in info.capabilities:
        kind = ", ".join(info.capabilities)
        article = "an" if kind[0] in "aeiou" else "a"
        raise NotFound(
            f"{name.short} is {article} {kind} model; there is no chat prompt to verify",
            hint="name a chat model; `gguf2ollama list` shows all models",
        )
    return False


def _true_capabilities(info: ModelInfo) -> tuple[str, ...]:
    """Return what a model can do: Ollama lists ``vision`` with any projector, also one of sound alone."""
    projector = info.projector_metadata
    hears_alone = projector.get("clip.has_audio_encoder") and not projector.get("clip.has_vision_encoder")
    return tuple(can for can in info.capabilities if can != "vision" or not hears_alone)


def _metadata(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    source: str | os.PathLike[str] | None,
    version: ServerVersion,
) -> Mapping[str, Any]:
    """Return the metadata of the model's GGUF: from its source, the store, or the server."""
    if source is not None:
        return find_model(source).model.metadata
    store = find_store(client, environ=os.environ) if client.address.is_loopback else None
    reads_v2 = ServerFeatures.of(version).manifests_v2
    if store is not None and (found := _in_store(store, name, reads_v2=reads_v2)) is not None:
        return found
    reported = dict(client.show(name, verbose=True).metadata)
    if find_renderer(info, reported) == "native":  # then the server reports the chat template as TEMPLATE
        reported[_TEMPLATE_KEY] = info.template
    return reported


def _in_store(store: LocalStore, name: ModelName, *, reads_v2: bool) -> Mapping[str, Any] | None:
    manifest = store.read_manifest(name, reads_v2=reads_v2)
    layers = manifest.layers if manifest else ()
    weights = next((layer for layer in layers if layer.media_type == MediaType.MODEL.value), None)
    return None if weights is None else open_gguf(store.blob_path(weights.digest)).metadata
