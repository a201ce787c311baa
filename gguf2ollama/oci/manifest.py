"""Descriptors, manifests, and lists of manifests.

A manifest may name what runs the model (``runner``) and the format of its weights (``format``), and since
Ollama 0.40 the manifest of a name may be a list of others, one for each runner. Both come from the
change that became 0.40.0, and are not tested with it; 0.34.4 and older ignore the two fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput
from gguf2ollama.oci.digest import Digest
from gguf2ollama.oci.encoding import go_json

__all__ = [
    "FORMAT",
    "MANIFEST_TYPE",
    "RUNNER",
    "Descriptor",
    "Manifest",
    "ManifestEntry",
    "ManifestList",
    "MediaType",
    "parse_manifest",
]

RUNNER, FORMAT = "llamacpp", "gguf"
"""The runner and format that we write: with them, Ollama 0.40 makes no second copy of a GGUF."""

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
"""The media type of a manifest."""

_LIST_TYPE = "application/vnd.ollama.manifest.list.v2+json"
_CAP_BYTES = 4 << 20  # a manifest of 1,024 shards has 300 kB
_CAP_ENTRIES = 100  # of a list, which has one for each runner


class MediaType(StrEnum):
    """The content of a blob of a model."""

    CONFIG = "application/vnd.docker.container.image.v1+json"
    MODEL = "application/vnd.ollama.image.model"
    PROJECTOR = "application/vnd.ollama.image.projector"
    DRAFT = "application/vnd.ollama.image.draft"
    TEMPLATE = "application/vnd.ollama.image.template"
    SYSTEM = "application/vnd.ollama.image.system"
    PARAMS = "application/vnd.ollama.image.params"
    MESSAGES = "application/vnd.ollama.image.messages"
    LICENSE = "application/vnd.ollama.image.license"

    @classmethod
    def is_manifest(cls, media_type: str) -> bool:
        """Return whether a layer is a manifest.

        Ollama 0.40 adds such layers to the manifests that it keeps for older versions, so that those leave
        the blobs of its own manifests alone.
        """
        return media_type in {MANIFEST_TYPE, _LIST_TYPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A blob of a model.

    Attributes:
        media_type: Its content; a plain string, since other tools use other types.
        digest: Its digest.
        size: Its length in bytes.
        from_: The file name it came from, if known.
    """

    media_type: str
    digest: Digest
    size: int
    from_: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object for a manifest."""
        value = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        return value | ({"from": self.from_} if self.from_ else {})

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """Read the JSON object of a manifest.

        Raises:
            InvalidInput: A field is missing or of another type.
        """
        if not isinstance(value, Mapping):
            raise InvalidInput("invalid manifest: a layer is not a JSON object")
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        origin = value.get("from", "")
        if not isinstance(media_type, str) or not isinstance(digest, str) or not isinstance(origin, str):
            raise InvalidInput("invalid manifest: a layer has no mediaType or digest")
        if not isinstance(size, int) or size < 0:
            raise InvalidInput(f"invalid manifest: layer {digest[:80]!r} has no size")
        return cls(media_type=media_type, digest=Digest.parse(digest), size=size, from_=origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model: its config blob and its layers, in order.

    Attributes:
        config, layers: Its blobs.
        runner: What runs it (``llamacpp``, ``ggml``, ``mlx``), or empty.
        format: The format of its weights (``gguf``, ``safetensors``), or empty.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]
    runner: str = ""
    format: str = ""

    def to_bytes(self) -> bytes:
        """Return the manifest as Ollama writes it."""
        optional = {"runner": self.runner, "format": self.format}
        return go_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
                **{key: text for key, text in optional.items() if text},
            }
        )

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Read the manifest of a model.

        Raises:
            InvalidInput: It is not one.
        """
        manifest = parse_manifest(content)
        if isinstance(manifest, ManifestList):
            raise InvalidInput("expected a model's manifest, found a list of manifests")
        return manifest

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs: the layers, then the config."""
        return (*self.layers, self.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """An entry of a list of manifests: the digest of the manifest, its runner and its format."""

    digest: Digest
    runner: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestList:
    """The manifests of one name, for several runners."""

    entries: tuple[ManifestEntry, ...]

    @property
    def preferred(self) -> tuple[ManifestEntry, ...]:
        """The entries in order of preference: that for llama.cpp first, then as listed."""
        return tuple(sorted(self.entries, key=lambda entry: entry.runner.lower() != RUNNER))

    def to_bytes(self) -> bytes:
        """Return the list as Ollama writes it."""
        entries = [
            {"mediaType": MANIFEST_TYPE, "digest": str(entry.digest)}
            | {key: text for key, text in (("runner", entry.runner), ("format", entry.format)) if text}
            for entry in self.entries
        ]
        return go_json({"schemaVersion": 2, "mediaType": _LIST_TYPE, "manifests": entries})


def parse_manifest(content: bytes) -> Manifest | ManifestList:
    """Parse the manifest, or list of manifests, of a model.

    Raises:
        InvalidInput: It is neither a manifest nor a list of manifests.
    """
    if len(content) > _CAP_BYTES:
        raise InvalidInput(f"the manifest is too large: {len(content):,} bytes, the limit is {_CAP_BYTES:,}")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("invalid manifest: not valid JSON") from error
    if not isinstance(value, dict):
        raise InvalidInput("invalid manifest: not a JSON object")
    if value.get("mediaType") == _LIST_TYPE:
        return _parse_list(value.get("manifests"))
    if not isinstance(value.get("layers"), list):
        raise InvalidInput("invalid manifest: no list of layers")
    return Manifest(
        config=Descriptor.from_json(value.get("config")),
        layers=tuple(Descriptor.from_json(layer) for layer in value["layers"]),
        runner=_text(value, "runner"),
        format=_text(value, "format"),
    )


def _parse_list(entries: object) -> ManifestList:
    if not isinstance(entries, list) or not entries:
        raise InvalidInput("invalid list of manifests: it is empty")
    if len(entries) > _CAP_ENTRIES:
        raise InvalidInput(f"too many manifests in the list: {len(entries):,}, the limit is {_CAP_ENTRIES}")
    return ManifestList(entries=tuple(map(_parse_entry, entries)))


def _parse_entry(value: object) -> ManifestEntry:
    if not isinstance(value, Mapping) or not isinstance(value.get("digest"), str):
        raise InvalidInput("invalid list of manifests: an entry has no digest")
    if value.get("mediaType", MANIFEST_TYPE) != MANIFEST_TYPE:
        raise InvalidInput("invalid list of manifests: an entry is not a model's manifest")
    return ManifestEntry(
        digest=Digest.parse(value["digest"]), runner=_text(value, "runner"), format=_text(value, "format")
    )


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key, "")
    if not isinstance(text, str):
        raise InvalidInput(f"invalid manifest: {key} is not a string")
    return text
