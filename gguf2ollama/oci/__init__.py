"""Content-addressed values of a model: digests, descriptors, manifest and config. Pure.

As Ollama 0.34.4 writes them: ``manifest/manifest.go``, ``manifest/layer.go``, ``types/model/config.go``.
"""

from gguf2ollama.oci.config import ModelConfig, parameter_size_label
from gguf2ollama.oci.digest import Digest, hash_stream
from gguf2ollama.oci.encoding import go_json
from gguf2ollama.oci.manifest import (
    FORMAT,
    MANIFEST_TYPE,
    RUNNER,
    Descriptor,
    Manifest,
    ManifestEntry,
    ManifestList,
    MediaType,
    parse_manifest,
)

__all__ = [
    "FORMAT",
    "MANIFEST_TYPE",
    "RUNNER",
    "Descriptor",
    "Digest",
    "Manifest",
    "ManifestEntry",
    "ManifestList",
    "MediaType",
    "ModelConfig",
    "go_json",
    "hash_stream",
    "parameter_size_label",
    "parse_manifest",
]
