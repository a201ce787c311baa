"""What a fake Ollama of 0.40 keeps in the folder of its store, and how it rewrites models there.

The facts were read in the change that became 0.40.0 (``manifest/manifest.go``, ``manifest/paths.go``, the
migration of GGUFs, ``server/model_list.go``), and some were measured on a build of that change elsewhere. No
0.40 can be built here, so nothing holds this fake to a real one; what both share with 0.34.4 is held by the
contract suite.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gguf2ollama.names import ModelName
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType, go_json
from tests.fakes.ollama_store import (
    FakeStore,
    Model,
    Refusal,
    Row,
    details,
    is_valid_name,
    model_of,
    valid_name,
)
from tests.stores import add_blob, migrate, old_path, v2_path, write_link

_LIST = "application/vnd.ollama.manifest.list.v2+json"
_GROWTH = b"\0" * 96  # by which a rewritten file was seen to be longer
_CONVERTED = {"deepseekocr", "glm4moelite", "glmocr", "gptoss", "olmo3", "qwen25vl"}


class FakeStoreV2(FakeStore):
    """A store from 0.40 on: where it has a folder, that holds all its models."""

    def keep(self, name: str, model: Model, *, manifest: Manifest | None = None) -> None:
        """Return a model its name: a link in ``manifests-v2``, and nothing in ``manifests``."""
        super().keep(name, model, manifest=manifest)
        if self.folder is not None:
            written = manifest or self._manifest_of(model)
            for blob in written.blobs:
                if not self._blob_path(str(blob.digest)).is_file():
                    add_blob(self.folder, self.blobs[str(blob.digest)])
            self._write(name, written.to_bytes())

    def look_into_folder(self) -> None:
        """Read every model anew: ``manifests-v2`` first, ``manifests`` for the names that it lacks."""
        if self.folder is None:
            return
        with self._lock:
            children = {name: self._child_of(content) for name, content in self._documents().items()}
            self.models = {
                name: model_of(Manifest.parse(child), read=self.read_blob)
                for name, child in children.items()
                if child is not None
            }

    def rows(self) -> Iterator[Row]:
        """List a row for each manifest of a list; 0.40.2 hides what it made of a model itself."""
        if self.folder is None:
            yield from super().rows()
            return
        self.look_into_folder()
        documents = self._documents()
        shadows = {name.removeprefix("llamacpp:") for name in documents if name.startswith("llamacpp:")}
        listed = {one["digest"] for content in documents.values() for one in _entries(content)}
        hides = self.is_from("0.40.2")
        for name, content in documents.items():
            if hides and f"sha256:{name.removeprefix('llamacpp:')}" in listed:
                continue
            entries = _entries(content)
            is_migrated = any(one["digest"].removeprefix("sha256:") in shadows for one in entries)
            for one in entries or [{"digest": str(Digest.of(content))}]:
                if hides and is_migrated and one.get("runner") == "ggml":
                    continue
                child = self.read_blob(one["digest"]) if entries else content
                model = model_of(Manifest.parse(child), read=self.read_blob)
                runner = one.get("runner") or json.loads(child).get("runner") or "ggml"
                yield Row(
                    name=name,
                    digest=one["digest"].removeprefix("sha256:"),
                    model=replace(model, modified=self._changed(name)),
                    details=details(model) | {"runner": runner},
                )

    def copy(self, source: str, destination: str) -> None:
        if self.folder is None or not is_valid_name(source) or not is_valid_name(destination):
            super().copy(source, destination)
            return
        known, model = self.find(source, missing='model "{}" not found')
        self._write(valid_name(destination), self._documents()[known])
        self.models[valid_name(destination)] = model

    def delete(self, name: str) -> None:
        if self.folder is None:
            super().delete(name)
            return
        if not is_valid_name(name):
            raise Refusal(400, f'name "{name}" is invalid')
        known, _ = self.find(name)
        with self._lock:
            candidates = self._named_by(self._documents()[known])
            for path in self._paths(known):
                path.unlink(missing_ok=True)
            used = {digest for content in self._documents().values() for digest in self._named_by(content)}
            for digest in candidates - used:
                self._blob_path(digest).unlink(missing_ok=True)
                self.blobs.pop(digest, None)
            self.look_into_folder()

    def after_chat(self, name: str) -> None:
        """Rewrite a model of certain kinds, unless its manifest says that llama.cpp runs it."""
        content = self._documents().get(name) if self.folder is not None else None
        if content is None or _entries(content):
            return
        original, model = Manifest.parse(content), self.find(name)[1]
        if original.runner != "llamacpp" and _is_old(model.metadata):
            assert self.folder is not None
            weights = b"".join(self.read_blob(layer.digest) for layer in model.layers)
            migrate(
                self.folder, "/".join(ModelName.parse(name).manifest_parts[1:]), original, weights + _GROWTH
            )

    def _paths(self, name: str) -> tuple[Path, Path]:
        assert self.folder is not None
        host, *rest = ModelName.parse(name).manifest_parts
        newer = "ollama.com" if host == "registry.ollama.ai" else host.replace(":", "%3A")
        where = "/".join(rest)
        return v2_path(self.folder, where, host=newer), old_path(self.folder, where, host=host)

    def _write(self, name: str, content: bytes) -> None:
        assert self.folder is not None
        path, old = self._paths(name)
        with self._lock:
            path.unlink(missing_ok=True)
            write_link(path, f"../../../../blobs/{add_blob(self.folder, content).blob_name}")
            old.unlink(missing_ok=True)

    def _documents(self) -> dict[str, bytes]:
        """Read what stands under each name, by its short form."""
        with self._lock:
            return self._read_documents()

    def _read_documents(self) -> dict[str, bytes]:
        assert self.folder is not None
        found: dict[str, bytes] = {}
        for layout in ("manifests-v2", "manifests"):
            for path in sorted((self.folder / layout).glob("*/*/*/*")):
                host, namespace, model, tag = path.parts[-4:]
                host = "registry.ollama.ai" if host == "ollama.com" else host.replace("%3A", ":")
                name = ModelName(host=host, namespace=namespace, model=model, tag=tag).short
                if name not in found and self._is_readable(path):
                    found[name] = path.read_bytes()
        return found

    def _is_readable(self, path: Path) -> bool:
        """Whether it is a file, or a link to a blob whose bytes are what its name says."""
        assert self.folder is not None
        target = path.resolve()
        if not path.is_symlink() or not target.is_file():
            return target.is_file()
        blobs = (self.folder / "blobs").resolve()
        return target.parent == blobs and target.name == Digest.of(target.read_bytes()).blob_name

    def _child_of(self, content: bytes) -> bytes | None:
        entries = sorted(_entries(content), key=lambda one: one.get("runner") != "llamacpp")
        there = (one["digest"] for one in entries if self.has_blob(one["digest"]))
        return next((self.read_blob(digest) for digest in there), None) if entries else content

    def _named_by(self, content: bytes) -> set[str]:
        named = {str(Digest.of(content))}
        for child in [content] if not _entries(content) else map(self._child, _entries(content)):
            named |= {str(Digest.of(child)), *(str(blob.digest) for blob in Manifest.parse(child).blobs)}
        return named

    def _child(self, entry: Mapping[str, str]) -> bytes:
        return self.read_blob(entry["digest"])

    def _changed(self, name: str) -> datetime:
        path = next(path for path in self._paths(name) if path.exists())
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)

    def _manifest_of(self, model: Model) -> Manifest:
        """Write a model down as ``create`` does."""
        weights = (
            Descriptor(
                media_type=MediaType[one.kind.upper()].value, digest=Digest.parse(one.digest), size=one.size
            )
            for one in model.layers
        )
        texts = {
            MediaType.TEMPLATE: model.template.encode(),
            MediaType.SYSTEM: model.system.encode(),
            MediaType.PARAMS: go_json(dict(model.parameters)) if model.parameters else b"",
            MediaType.MESSAGES: go_json(list(model.messages)) if model.messages else b"",
        }
        small = [(kind, text) for kind, text in texts.items() if text]
        small += [(MediaType.LICENSE, text.encode()) for text in model.licenses]
        config = {"model_format": "gguf", "model_family": model.architecture}
        config |= {"renderer": model.renderer, "parser": model.parser, "requires": model.requires}
        return Manifest(
            config=self._layer(MediaType.CONFIG, go_json(config)),
            layers=(*weights, *(self._layer(kind, text) for kind, text in small)),
        )

    def _layer(self, kind: MediaType, content: bytes) -> Descriptor:
        assert self.folder is not None
        return Descriptor(media_type=kind.value, digest=add_blob(self.folder, content), size=len(content))


def _entries(content: bytes) -> list[dict[str, str]]:
    value = json.loads(content)
    return value["manifests"] if value.get("mediaType") == _LIST else []


def _is_old(metadata: Mapping[str, object]) -> bool:
    if metadata["general.architecture"] != "llama":
        return metadata["general.architecture"] in _CONVERTED
    tokens: Any = metadata.get("tokenizer.ggml.tokens") or ()
    has_eot = len(tokens) > 128_009 and tokens[128_009] == "<|eot_id|>"
    has_old_end = metadata.get("tokenizer.ggml.eos_token_id") == 128_001
    return has_eot and (has_old_end or not metadata.get("tokenizer.ggml.pre"))
