"""Descriptors and manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gguf2ollama.errors import InvalidInput
from gguf2ollama.oci.digest import Digest
from gguf2ollama.oci.encoding import go_json

__all__ = ["Descriptor", "Manifest", "MediaType"]

_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CAP_BYTES = 4 << 20  # a manifest of 1,024 shards has 300 kB


class MediaType(str, Enum):
    """What a blob of a model holds."""

    CONFIG = "application/vnd.docker.container.image.v1+json"
    MODEL = "application/vnd.ollama.image.model"
    PROJECTOR = "application/vnd.ollama.image.projector"
    TEMPLATE = "application/vnd.ollama.image.template"
    SYSTEM = "application/vnd.ollama.image.system"
    PARAMS = "application/vnd.ollama.image.params"
    MESSAGES = "application/vnd.ollama.image.messages"
    LICENSE = "application/vnd.ollama.image.license"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """One blob of a model.

    Attributes:
        media_type: What it holds; a plain string, since other writers use types of their own.
        digest: Its digest.
        size: Its length in bytes.
        from_: The file name it came from, where one is told.
    """

    media_type: str
    digest: Digest
    size: int
    from_: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object as it stands in a manifest."""
        value = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        return value | ({"from": self.from_} if self.from_ else {})

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """Read the JSON object of a manifest.

        Raises:
            InvalidInput: A field is missing or of another type.
        """
        if not isinstance(value, Mapping):
            raise InvalidInput("a layer of the manifest is not a JSON object")
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        origin = value.get("from", "")
        if not isinstance(media_type, str) or not isinstance(digest, str) or not isinstance(origin, str):
            raise InvalidInput("a layer of the manifest lacks its mediaType or digest")
        if not isinstance(size, int) or size < 0:
            raise InvalidInput(f"the layer {digest[:80]} of the manifest has no size in bytes")
        return cls(media_type=media_type, digest=Digest.parse(digest), size=size, from_=origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model: its config blob and its layers, in order."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    def to_bytes(self) -> bytes:
        """Give the manifest as Ollama writes it."""
        return go_json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST_TYPE,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
            }
        )

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Read a manifest.

        Raises:
            InvalidInput: It is not a manifest of a model.
        """
        if len(content) > _CAP_BYTES:
            raise InvalidInput(f"the manifest has {len(content):,} bytes, at most {_CAP_BYTES:,} are read")
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidInput("the manifest is not JSON") from error
        if not isinstance(value, dict) or not isinstance(value.get("layers"), list):
            raise InvalidInput("the manifest has no list of layers")
        return cls(
            config=Descriptor.from_json(value.get("config")),
            layers=tuple(Descriptor.from_json(layer) for layer in value["layers"]),
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs: the layers, then the config."""
        return (*self.layers, self.config)
