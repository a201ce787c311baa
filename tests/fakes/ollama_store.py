"""What a fake Ollama keeps, and by which rules it takes a model in.

The rules and texts are those of Ollama 0.34.4 (``server/create.go``, ``create_split_gguf.go``,
``routes.go``), as far as the contract suite holds them to the real server.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from gguf2ollama.chat.special_cases import thinks_by_family
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.ggufio import GgufArray, GgufFile, Role, file_type_name, open_gguf, role_of
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Manifest, MediaType, parameter_size_label
from gguf2ollama.ollama import ServerFeatures, ServerVersion
from gguf2ollama.ollama_template import takes_precedence
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS
from gguf2ollama.planning.target import Rendering

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf\Z")
_DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}\Z")
_BARE_TEMPLATE = "{{ .Prompt }}"
_PARAMETER_COLUMNS = 30
_TEXTS = ("TEMPLATE", "SYSTEM", "PARAMS", "MESSAGES")


class Refusal(Exception):
    """An answer with an error; ``status`` counts only while nothing was sent."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Layer:
    """A GGUF in a model: ``kind`` is ``model`` or ``projector``."""

    kind: str
    digest: str
    size: int


@dataclass(frozen=True)
class Model:
    """A model as its manifest would describe it."""

    layers: tuple[Layer, ...]
    metadata: Mapping[str, object]
    parameter_count: int
    template: str = ""
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Mapping[str, object], ...] = ()
    licenses: tuple[str, ...] = ()
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", "unknown"))

    @property
    def is_embedding(self) -> bool:
        return f"{self.architecture}.pooling_type" in self.metadata

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def digest(self) -> str:
        shown = (self.layers, self.template, self.system, sorted(self.parameters.items()), self.messages)
        return hashlib.sha256(repr(shown).encode()).hexdigest()


@dataclass(frozen=True)
class Row:
    """What ``GET /api/tags`` lists of a model."""

    name: str
    digest: str
    model: Model
    details: Mapping[str, object]


class FakeStore:
    """Blobs, models and what is loaded; safe for several threads.

    Attributes:
        blobs: Their bytes by digest (``sha256:…``).
        models: By short name, such as ``smol:latest``.
        loaded: Context length of the loaded ones, by short name.
        registry: Models that can be pulled, by the name that is asked for.
        rendering: What renders where a model has a TEMPLATE and a chat template: the one that shows more,
            or always the same (``OLLAMA_GO_TEMPLATE``).
        disk_bytes: How many bytes of blobs there is room for; ``None`` for no limit.
        folder: Where others put blobs and manifests for it to see, as in the folder of a real server;
            what comes over its interface is kept in memory.
    """

    def __init__(self, version: str, *, disk_bytes: int | None = None) -> None:
        self.version = version
        self.rules = ServerVersion.reported(version).rules
        self.folder: Path | None = None
        self.rendering: Rendering = "by capabilities"
        self.features = ServerFeatures.of(ServerVersion.reported(version))
        self.disk_bytes = disk_bytes
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, Model] = {}
        self.loaded: dict[str, int] = {}
        self.registry: dict[str, Model] = {}
        self._once_used: set[str] = set()
        self._lock = threading.RLock()

    # blobs

    def has_blob(self, digest: str) -> bool:
        if not _DIGEST.match(digest):
            raise Refusal(400, "invalid digest format")
        return digest in self.blobs or (self.folder is not None and self._blob_path(digest).is_file())

    def read_blob(self, digest: str) -> bytes:
        """Return a blob, from memory or from the folder."""
        return self.blobs[digest] if digest in self.blobs else self._blob_path(digest).read_bytes()

    def _blob_path(self, digest: str) -> Path:
        assert self.folder is not None
        return self.folder / "blobs" / digest.replace(":", "-")

    def add_blob(self, digest: str, content: bytes) -> int:
        """Take a blob in and give the HTTP status."""
        if self.has_blob(digest):
            return 200
        with self._lock:
            used = sum(map(len, self.blobs.values()))
            if self.disk_bytes is not None and used + len(content) > self.disk_bytes:
                raise Refusal(500, f"write /models/blobs/{digest.replace(':', '-')}: no space left on device")
            actual = f"sha256:{hashlib.sha256(content).hexdigest()}"
            self.blobs[actual] = content
            if actual != digest:
                raise Refusal(400, f'digest mismatch, expected "{digest}", got "{actual}"')
        return 201

    # models

    def find(self, name: str, *, missing: str = "model '{}' not found") -> tuple[str, Model]:
        short = valid_name(name)
        with self._lock:
            self.look_into_folder()
            for known, model in self.models.items():
                if known.lower() == short.lower():
                    return known, model
        raise Refusal(404, missing.format(name))

    def create(self, wanted: Mapping[str, object]) -> Iterator[dict[str, object]]:
        """Make a model as ``POST /api/create`` does; give the lines of the answer."""
        parameters = wanted.get("parameters") or {}
        files = wanted.get("files")
        assert isinstance(parameters, dict)
        if not self.features.takes_files:
            raise Refusal(400, "path or Modelfile are required")
        if self.features.refuses_typical_p and "typical_p" in parameters:
            raise Refusal(400, "typical_p is no longer supported")
        if isinstance(files, dict):
            _check_paths(files)
        if wanted.get("adapters") and not self.features.takes_adapters:
            raise Refusal(400, "LoRA adapters are no longer supported")
        name = valid_name(str(wanted.get("model") or wanted.get("name") or ""))
        if wanted.get("from"):
            base = self.find(str(wanted["from"]), missing="pull model manifest: file does not exist")[1]
        elif files:
            yield {"status": "parsing GGUF"}
            base = self._take_in(files)
        else:
            raise Refusal(400, "neither 'from' or 'files' was specified")
        model = _overlaid(base, wanted)
        for layer in model.layers:
            yield {"status": f"using existing layer {layer.digest}"}
        yield {"status": "writing manifest"}
        with self._lock:
            self.look_into_folder()
            known = next((known for known in self.models if known.lower() == name.lower()), name)
            self.keep(known, model)
            self.loaded.pop(known, None)
            self._prune()
        yield {"status": "success"}

    def keep(self, name: str, model: Model, *, manifest: Manifest | None = None) -> None:  # noqa: ARG002
        """Return a model its name; ``manifest`` is what describes it, where it came with one."""
        self.models[name] = model

    def rows(self) -> Iterator[Row]:
        """List the models."""
        self.look_into_folder()
        for name, model in self.models.items():
            yield Row(name=name, digest=model.digest, model=model, details=details(model))

    def after_chat(self, name: str) -> None:
        """Do what a server does behind the back of whoever chats: nothing."""

    def look_into_folder(self) -> None:
        """Take in the models whose manifests others wrote."""
        for path in self.folder.glob("manifests/*/*/*/*") if self.folder else ():
            host, namespace, model, tag = path.parts[-4:]
            name = ModelName(host=host, namespace=namespace, model=model, tag=tag).short
            if name not in self.models:
                self.models[name] = model_of(Manifest.parse(path.read_bytes()), read=self.read_blob)

    def copy(self, source: str, destination: str) -> None:
        names = {"source": source, "destination": destination}
        for role, name in names.items():
            if not is_valid_name(name):
                raise Refusal(400, f'{role} "{name}" is invalid')
        model = self.find(source, missing='model "{}" not found')[1]
        with self._lock:
            self.models[valid_name(destination)] = replace(model, modified=datetime.now(UTC))

    def delete(self, name: str) -> None:
        if not is_valid_name(name):
            raise Refusal(400, f'name "{name}" is invalid')
        known, _ = self.find(name)
        with self._lock:
            del self.models[known]
            if self.folder is not None:
                parts = ModelName.parse(known).manifest_parts
                self.folder.joinpath("manifests", *parts).unlink(missing_ok=True)
            self._prune()

    def show(self, name: str, *, verbose: bool) -> dict[str, object]:
        known, model = self.find(name)
        info = {
            key: (list(value) if verbose else None) if isinstance(value, GgufArray) else value
            for key, value in model.metadata.items()
            if key not in {"general.name", "tokenizer.chat_template"}
        }
        template = self.template_of(model)
        answer: dict[str, object] = {
            "license": "\n".join(model.licenses),
            "modelfile": _modelfile(model, name=known, template=template),
            "parameters": "\n".join(_parameter_lines(model.parameters)),
            "template": template,
            "system": model.system,
            "details": details(model),
            "messages": list(model.messages),
            "model_info": info | {"general.parameter_count": model.parameter_count},
            "capabilities": self.capabilities(model) if self.is_from("0.6.4") else None,
            "modified_at": model.modified.isoformat(),
            "requires": model.requires,
        }
        return {key: value for key, value in answer.items() if value or key == "model_info"}

    def is_from(self, version: str) -> bool:
        """Whether it is that version of Ollama or a newer one."""
        return ServerVersion.reported(self.version) >= ServerVersion.parse(version)

    def renders_natively(self, model: Model) -> bool:
        """Return whether the chat template in the GGUF renders a chat."""
        jinja = str(model.metadata.get("tokenizer.chat_template", ""))
        if not self.features.native_templates or not jinja or model.parser or model.renderer:
            return False
        if not model.template or self.rendering != "by capabilities":
            return self.rendering != "TEMPLATE" or not model.template
        return not takes_precedence(model.template, jinja, version=self.rules)

    def template_of(self, model: Model) -> str:
        """Return the template that renders a chat: the TEMPLATE, the GGUF's own, or none to speak of."""
        if self.renders_natively(model):
            return str(model.metadata["tokenizer.chat_template"])
        return model.template or _BARE_TEMPLATE

    def capabilities(self, model: Model) -> list[str]:
        if model.is_embedding:
            return ["embedding"]
        template = self.template_of(model)
        words = ("tools", "tool_call") if self.renders_natively(model) else ()
        shows = {
            "completion": True,
            "tools": ".Tools" in template or any(word in template for word in words),
            "insert": ".Suffix" in template,
            "vision": any(layer.kind == "projector" for layer in model.layers),
            "thinking": ".Thinking" in template
            or ("<think>" in template and "</think>" in template)
            or thinks_by_family(model.architecture, version=self.rules),
        }
        return [name for name, has_it in shows.items() if has_it]

    def _take_in(self, files: Mapping[str, str]) -> Model:
        headers: dict[str, GgufFile] = {}
        for path, digest in sorted(files.items()):
            if digest not in self.blobs:
                blob = digest.replace(":", "-")
                raise Refusal(400, f"open /models/blobs/{blob}: no such file or directory")
            try:
                headers[path] = open_gguf(io.BytesIO(self.blobs[digest]), name=path)
            except InvalidGguf as error:
                raise Refusal(500, f"error reading GGUF: {error}") from error
            if role_of(headers[path]) is Role.ADAPTER:
                raise Refusal(400, f"LoRA adapters are no longer supported: {path} is a LoRA adapter")
        self._check_shards(headers)
        weights = [path for path in headers if role_of(headers[path]) is not Role.PROJECTOR]
        if not weights:
            raise Refusal(400, "no files provided to convert")
        layers = tuple(
            Layer(
                kind="model" if path in weights else "projector",
                digest=self._stored(files[path]),
                size=headers[path].size,
            )
            for path in sorted(headers)
        )
        first = headers[weights[0]]
        return Model(
            layers=layers,
            metadata={key: value for key, value in first.metadata.items() if not key.startswith("split.")},
            parameter_count=sum(tensor.n_elements for path in weights for tensor in headers[path].tensors),
        )

    def _stored(self, digest: str) -> str:
        """Return the digest under which a file is kept: some versions rewrite the GGUF."""
        if not self.features.rewrites_gguf:
            return digest
        content = self.blobs[digest] + b"rewritten"
        rewritten = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[rewritten] = content
        return rewritten

    def _check_shards(self, headers: Mapping[str, GgufFile]) -> None:
        sets: dict[str, list[str]] = {}
        for path, header in headers.items():
            if header.split is None or header.split.count == 1:
                continue
            if not self.features.takes_shards:
                continue  # each becomes a layer, and the model does not run
            said, named = header.split, _SHARD.match(posixpath.basename(path))
            if named is None:
                _refuse_shards(f'split GGUF "{path}" must use llama.cpp split filename pattern')
            elif int(named[3]) != said.count:
                _refuse_shards(
                    f'split GGUF "{path}" filename count {int(named[3])} does not match metadata count'
                    f" {said.count}"
                )
            elif int(named[2]) - 1 != said.no:
                _refuse_shards(
                    f'split GGUF "{path}" filename index {int(named[2]) - 1} does not match metadata index'
                    f" {said.no}"
                )
            else:
                sets.setdefault(f"{posixpath.dirname(path)}/{named[1]}-{named[3]}", []).append(path)
        for paths in sets.values():
            split = headers[paths[0]].split
            assert split is not None
            if len(paths) != split.count:
                _refuse_shards(f'split GGUF "{paths[0]}" has {len(paths)} shards, expected {split.count}')

    def _prune(self) -> None:
        """Forget the blobs that were in a model and are in none now; uploads that wait are kept."""
        used = {layer.digest for model in self.models.values() for layer in model.layers}
        for digest in self._once_used - used:
            self.blobs.pop(digest, None)
        self._once_used = used


def model_of(manifest: Manifest, *, read: Callable[[str], bytes]) -> Model:
    """Return the model that a manifest describes; nothing of it is changed."""
    kept: dict[str, list[bytes]] = {}
    layers, headers = [], []
    for layer in manifest.layers:
        content = read(str(layer.digest))
        if layer.media_type in {MediaType.MODEL.value, MediaType.PROJECTOR.value}:
            kind = "model" if layer.media_type == MediaType.MODEL.value else "projector"
            layers.append(Layer(kind=kind, digest=str(layer.digest), size=layer.size))
            if kind == "model":
                headers.append(open_gguf(io.BytesIO(content), name=str(layer.digest)))
        else:
            kept.setdefault(layer.media_type, []).append(content)
    metadata = headers[0].metadata if headers else {}  # a projector that is pulled before its model
    config = json.loads(read(str(manifest.config.digest)))
    texts = {name: "".join(part.decode() for part in kept.get(MediaType[name].value, ())) for name in _TEXTS}
    return Model(
        layers=tuple(layers),
        metadata={key: value for key, value in metadata.items() if not key.startswith("split.")},
        parameter_count=sum(tensor.n_elements for header in headers for tensor in header.tensors),
        template=texts["TEMPLATE"],
        system=texts["SYSTEM"],
        parameters=json.loads(texts["PARAMS"] or "{}"),
        messages=tuple(json.loads(texts["MESSAGES"] or "[]")),
        licenses=tuple(part.decode() for part in kept.get(MediaType.LICENSE.value, ())),
        renderer=config.get("renderer", ""),
        parser=config.get("parser", ""),
        requires=config.get("requires", ""),
    )


def valid_name(name: str) -> str:
    """Return the short form of a name that Ollama takes."""
    try:
        return ModelName.parse(name).short
    except UsageProblem as problem:
        raise Refusal(400, "invalid model name") from problem


def is_valid_name(name: str) -> bool:
    try:
        ModelName.parse(name)
    except UsageProblem:
        return False
    return True


def details(model: Model) -> dict[str, object]:
    """Return the ``details`` of show, tags and ps."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.architecture,
        "families": [model.architecture],
        "parameter_size": parameter_size_label(model.parameter_count),
        "quantization_level": file_type_name(model.metadata.get("general.file_type")),
    }


def _check_paths(files: Mapping[str, str]) -> None:
    for path, digest in files.items():
        is_clean = (
            str(PurePosixPath(path)) == path and not path.startswith("/") and ".." not in path.split("/")
        )
        if path in {"", "."} or not is_clean or set(path) & set("\\:"):
            raise Refusal(400, f"file path must be relative: {path}")
        if not _DIGEST.match(digest):
            raise Refusal(400, f"invalid digest for {path}: invalid digest format")


def _overlaid(base: Model, wanted: Mapping[str, object]) -> Model:
    template = str(wanted.get("template") or "")
    if template.count("{{") != template.count("}}"):
        raise Refusal(400, "template error: template: :1: unclosed action")
    changes: dict[str, object] = {
        key: wanted[key]
        for key in ("template", "system", "renderer", "parser", "requires")
        if wanted.get(key)
    }
    parameters, messages, licenses = (wanted.get(key) for key in ("parameters", "messages", "license"))
    if isinstance(parameters, dict):
        changes["parameters"] = {**base.parameters, **parameters}
    if isinstance(messages, list):
        changes["messages"] = tuple(messages)
    if licenses:
        changes["licenses"] = tuple(licenses) if isinstance(licenses, list) else (str(licenses),)
    if base.architecture in GIVEN_RENDERERS and "renderer" not in changes:
        changes |= dict.fromkeys(("renderer", "parser"), GIVEN_RENDERERS[base.architecture])
    return replace(base, **changes, modified=datetime.now(UTC))


def _refuse_shards(text: str) -> None:
    raise Refusal(400, f"invalid split GGUF: {text}")


def _parameter_lines(parameters: Mapping[str, object]) -> Iterator[str]:
    for name, value in parameters.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            yield f"{name:<{_PARAMETER_COLUMNS}} {go_value(item)}"


def go_value(value: object) -> str:
    """Write a value of JSON as Go's ``%#v`` does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{"".join(map(_go_letter, value))}"'
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


_NAMED = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n"}
_NAMED |= {"\r": "\\r", "\t": "\\t", "\v": "\\v"}
_LAST_ASCII = 0x7F
_LAST_SHORT = 0xFFFF


def _go_letter(letter: str) -> str:
    code = ord(letter)
    if letter in _NAMED:
        return _NAMED[letter]
    if letter.isprintable():
        return letter
    if code <= _LAST_ASCII:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def _modelfile(model: Model, *, name: str, template: str) -> str:
    """Write what `ollama show --modelfile` shows; that alone tells the renderer and the parser."""
    lines = ['# Modelfile generated by "ollama show"', f"# FROM {name}", ""]
    lines += [f"FROM /models/blobs/{layer.digest.replace(':', '-')}" for layer in model.layers]
    lines.append(f'TEMPLATE """{template}"""')
    lines += [f"RENDERER {model.renderer}"] * bool(model.renderer)
    lines += [f"PARSER {model.parser}"] * bool(model.parser)
    return "\n".join(lines) + "\n"
