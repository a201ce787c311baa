"""A model that a server has, as the source of a build: its files, and which of its settings are kept."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TypeVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, InvalidModelfile, UsageProblem
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE
from gguf2ollama.install.server_header import header_of
from gguf2ollama.install.temporary_models import leased_name
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.modelfiles import PARAMETERS, Message, ParameterStatus, parse_modelfile
from gguf2ollama.names import ModelName, OllamaSource
from gguf2ollama.oci import Descriptor, Manifest, MediaType
from gguf2ollama.ollama import Client, ModelInfo, ServerFeatures
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.store_layout import read_small_blob
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.stored.record import BuildRecord
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.drafts import require_draft
from gguf2ollama.sources.local import find_projectors
from gguf2ollama.sources.model import KnownDigests, ModelFiles, Origin, Published, ServerVariant, Value
from gguf2ollama.sources.projectors import require_one_projector

__all__ = ["PASSED_OVER", "ServerModel", "read_server_model"]

_BLOB = lazy_pattern(r"(?m)^FROM (.*[\\/]blobs[\\/]sha256-[0-9a-f]{64})\s*$")
_ADAPTER = "application/vnd.ollama.image.adapter"
PASSED_OVER = "{{ .Prompt }}"
"""A TEMPLATE over which Ollama takes a chat template that shows tools or reasoning."""

_LOCALLY = "run this on the server's machine, as a user who may read its model directory"
_UNKNOWN = "unknown"  # what Ollama shows where the file type of a GGUF has no name
_Options = TypeVar("_Options", bound=ModelOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerModel:
    """A model that a server has.

    Attributes:
        name: Its name there.
        files: Its files, in the server's model directory; its PARAMETER and SYSTEM are what is published.
        licenses: Its LICENSE texts, without our records.
        messages: Its MESSAGE values.
        replaced: What of it a build replaces, a phrase each.
    """

    name: ModelName
    files: ModelFiles
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    replaced: tuple[str, ...] = field(default=())

    def applied_to(self, options: _Options) -> _Options:
        """Return the options of a build with what is kept of the model, where nothing else was given."""
        return dataclasses.replace(
            options,
            licenses=options.licenses or self.licenses,
            messages=options.messages or self.messages,
        )

    def lines(self) -> Iterator[str]:
        """Return what is said of it: what is kept, and what is replaced."""
        files, published = self.files, self.files.published
        kept = [
            *(f"PARAMETER {name}" for name in published.parameters),
            *(["SYSTEM"] if published.system is not None else []),
            *(["TEMPLATE"] if published.template is not None else []),
            *(["MESSAGE"] if self.messages else []),
            *(["LICENSE"] if self.licenses else []),
            *(["its projector"] if files.projectors else []),
            *(["its draft"] if files.drafts else []),
        ]
        shards = f", {len(files.model.shards)} shards" if files.model.is_split else ""
        if files.variant_of:
            yield f"A variant of {self.name.short} is made (create FROM): its files cannot be read here"
        else:
            yield f"Found {self.name.short} in Ollama's model directory{shards}: its weights stay there"
        if kept:
            yield f"Kept of {self.name.short}: {', '.join(kept)}"
        if self.replaced:
            yield f"Planned again, whatever {self.name.short} has: {', '.join(self.replaced)}"


def read_server_model(
    client: Client, name: ModelName, *, features: ServerFeatures, options: ModelOptions, digests: KnownDigests
) -> ServerModel:
    """Read a model of a server: from its model directory if this machine and user can, else over its API.

    The name of a blob is its digest, so nothing is hashed.

    Args:
        client: The server.
        name: The model's name.
        features: What that Ollama supports.
        options: The options; a projector or draft that they name replaces that of the model.
        digests: The known digests of files; those of the blobs are added.

    Raises:
        InvalidGguf: Its weights are not a GGUF, or broken.
        NotFound: There is no such model.
        UsageProblem: It is not a GGUF, or it has no chat template; or neither the model directory nor the API
            of the server shows enough of it.
    """
    info = client.show(name)
    _require_gguf(name, info)
    found = _find(client, name, info, features=features)
    if found is None:
        return _read_over_api(client, name, info, options=options)
    store, manifest = found
    model = ShardSet.from_paths(_blobs(store, manifest, MediaType.MODEL))
    first = model.first
    named = find_projectors(options.projectors)
    require_one_projector(named, model=first)
    files = ModelFiles(
        model=model,
        projectors=named
        or _opened(() if options.no_projector else _blobs(store, manifest, MediaType.PROJECTOR)),
        drafts=_opened(() if options.no_draft else _blobs(store, manifest, MediaType.DRAFT)),
    )
    if options.draft is not None:
        draft = require_draft(Shard.open(options.draft), model=first)
        files = dataclasses.replace(files, drafts=(draft,))
    own = [shard for shard in files.shards if shard.path.parent == store.root / "blobs"]
    blobs = tuple(
        RepositoryFile(path=shard.path.name, size=shard.size, sha256=shard.path.name.removeprefix("sha256-"))
        for shard in own
    )
    for shard, blob in zip(own, blobs, strict=True):
        digests.learn_file(shard.path, str(blob.sha256), head_bytes=shard.gguf.data_offset)
    files = dataclasses.replace(files, origin=_origin(name, info, files=blobs))
    has_chat_template = bool(first.metadata.get(CHAT_TEMPLATE)) or options.chat_template is not None
    if info.renderer and not has_chat_template:
        raise _rendered(name, info, "its GGUF has no chat template to compare with")
    layers = {layer.media_type for layer in manifest.layers}
    published = _published(info, name, has_chat_template=has_chat_template, options=options)
    replaced = [
        *(["TEMPLATE"] if MediaType.TEMPLATE in layers and published.template is None else []),
        *([f"RENDERER {info.renderer}"] if info.renderer else []),
        *([f"PARSER {info.parser}"] if info.parser else []),
        *(["PARAMETER stop"] if info.parameters.get("stop") else []),
    ]
    return ServerModel(
        name=name,
        files=dataclasses.replace(files, published=published),
        licenses=tuple(_licenses(store, manifest)),
        messages=tuple(
            Message(role=role, content=content)  # type: ignore[arg-type]  # it checks that
            for role, content in info.messages
        ),
        replaced=tuple(replaced),
    )


def _opened(paths: Sequence[Path]) -> tuple[Shard, ...]:
    return tuple(map(Shard.open, paths))


def _origin(name: ModelName, info: ModelInfo, *, files: tuple[RepositoryFile, ...] = ()) -> Origin:
    label = info.details.quantization_level
    return Origin(
        source=str(OllamaSource(name=name)),
        commit="",
        reason="a model of the server",
        bytes_fetched=0,
        files=files,
        label=None if label == _UNKNOWN else label,
    )


def _require_gguf(name: ModelName, info: ModelInfo) -> None:
    if info.remote_host:
        raise UsageProblem(f"{name.short} runs elsewhere (at {info.remote_host}): it has no weights here")
    if info.details.format not in {"gguf", ""}:
        raise UsageProblem(
            f"{name.short} is not a GGUF, but {info.details.format}", hint="get a GGUF of the model"
        )


def _rendered(name: ModelName, info: ModelInfo, why: str) -> UsageProblem:
    return UsageProblem(
        f"{name.short} is rendered by Ollama's built-in renderer {info.renderer}, and {why}",
        hint=f"nothing can be made better; copy it with: gguf2ollama cp {name.short} NAME",
    )


def _find(
    client: Client, name: ModelName, info: ModelInfo, *, features: ServerFeatures
) -> tuple[LocalStore, Manifest] | None:
    """Return the model directory that has a model, and its manifest there; the server says where that is.

    ``None`` if this machine or user cannot read it.
    """
    match = _BLOB.search(info.modelfile)
    where = Path(match[1]) if match and client.address.is_loopback else None
    try:
        if where is not None and where.is_file():
            with where.open("rb"):
                pass
            store = LocalStore(where.parent.parent)
            manifest = store.read_manifest(name, reads_v2=features.manifests_v2)
            if manifest is not None and any(
                layer.digest.blob_name == where.name for layer in manifest.layers
            ):
                return store, manifest
    except (OSError, InvalidInput):  # it belongs to another user
        pass
    return None


def _read_over_api(client: Client, name: ModelName, info: ModelInfo, *, options: ModelOptions) -> ServerModel:
    """Read a model as far as the server's API shows it: what is made of it is a variant (``create FROM``).

    Raises:
        UsageProblem: That is not enough.
    """
    where = "the server's files cannot be read here, and its API"
    if info.renderer:
        raise _rendered(name, info, f"{where} cannot take that away")
    if options.projectors or options.no_projector or options.draft is not None or options.no_draft:
        raise UsageProblem(
            f"{name.short} keeps its projector and its draft: {where} cannot change them", hint=_LOCALLY
        )
    if options.chat_template is not None:
        raise UsageProblem(
            f"{name.short} keeps its chat template: {where} cannot change the header", hint=_LOCALLY
        )
    chat_template = _chat_template(client, name, info)
    if chat_template is None:
        raise UsageProblem(
            f"the chat template in {name.short} is not known: {where} shows its TEMPLATE instead",
            hint=_LOCALLY,
        )
    verbose = client.show(name, verbose=True)
    header = header_of(
        verbose.metadata, name=name.short, tensors=verbose.tensors, chat_template=chat_template
    )
    projector = (
        (Shard(path=Path(name.short), gguf=header_of(info.projector_metadata, name=name.short)),)
        if info.projector_metadata
        else ()
    )
    is_native = info.template == chat_template
    return ServerModel(
        name=name,
        files=ModelFiles(
            model=ShardSet(shards=(Shard(path=Path(name.short), gguf=header),)),
            projectors=projector,
            origin=_origin(name, info),
            published=_published(info, name, has_chat_template=True, options=options),
            variant_of=ServerVariant(name=str(name), is_native=is_native),
            are_local=False,
        ),
        messages=tuple(
            Message(role=role, content=content)  # type: ignore[arg-type]  # it checks that
            for role, content in info.messages
        ),
        replaced=(*(() if is_native else ("TEMPLATE",)), "PARAMETER stop"),
    )


def _chat_template(client: Client, name: ModelName, info: ModelInfo) -> str | None:
    """Return the chat template in the GGUF of a model; ``None`` if the server does not show it.

    It shows what it renders with. Where that is a TEMPLATE, a variant with one that Ollama passes over for a
    chat template with tools or reasoning shows that (``selectedModelTemplate`` in ``server/routes.go``).
    """
    if _template_of(info) != info.template:
        return info.template
    with leased_name(name) as variant:
        try:
            client.create(variant, from_=name, template=PASSED_OVER).drain()
            shown = client.show(variant)
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                client.delete(variant)
    return None if shown.template == PASSED_OVER else shown.template


def _template_of(info: ModelInfo) -> str | None:
    try:
        return parse_modelfile(info.modelfile).template
    except InvalidModelfile:  # a text in it has three quotation marks in a row
        return info.template


def _blobs(store: LocalStore, manifest: Manifest, kind: MediaType) -> list[Path]:
    if any(layer.media_type == _ADAPTER for layer in manifest.layers):
        raise UsageProblem(
            "the model has a LoRA adapter, which Ollama has not supported since 0.34.1",
            hint="merge the adapter into its base with llama.cpp's llama-export-lora, and build the result",
        )
    return [store.blob_path(layer.digest) for layer in manifest.layers if layer.media_type == kind]


def _licenses(store: LocalStore, manifest: Manifest) -> Iterator[str]:
    for layer in manifest.layers:
        if layer.media_type == MediaType.LICENSE:
            text = _text(store, layer)
            lines = text.splitlines()
            if not any(BuildRecord.find(line) or ContextRecord.find(line) for line in lines):
                yield text


def _text(store: LocalStore, layer: Descriptor) -> str:
    return read_small_blob(store.root, layer.digest).decode("utf-8", "replace")


def _published(
    info: ModelInfo, name: ModelName, *, has_chat_template: bool, options: ModelOptions
) -> Published:
    """Return what a model says of itself: below what the user gives, above what its GGUF says."""
    source = f"as in {name.short}"
    left = {"stop"}
    if options.context != "auto" or ContextRecord.find(info.license) is not None:
        left.add("num_ctx")  # the user's, or chosen by us and recorded
    if options.no_draft:
        left.add("draft_num_predict")
    parameters: Mapping[str, Value] = {
        key: Value(value=value, source=source)
        for key, value in info.parameters.items()
        if key not in left and key in PARAMETERS and PARAMETERS[key].status is ParameterStatus.KNOWN
    }
    return Published(
        parameters=parameters,
        system=Value(value=info.system, source=source) if info.system else None,
        template=Value(value=info.template, source=source)
        if info.template and not has_chat_template
        else None,
        stops={}
        if has_chat_template
        else {str(stop): source for stop in _several(info.parameters.get("stop"))},
    )


def _several(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, (tuple, list)) else (value,)
