"""Stores on disk as Ollama leaves them, in both layouts, without an Ollama.

What stands in ``manifests-v2`` is laid out as the change that became Ollama 0.40.0 writes it
(``manifest/manifest.go`` and the migration of GGUFs); no 0.40 wrote these fixtures, and none has read them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gguf2ollama.oci import Descriptor, Digest, Manifest, ManifestEntry, ManifestList, MediaType

OLD_HOST, V2_HOST = "registry.ollama.ai", "ollama.com"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def add_blob(root: Path, content: bytes) -> Digest:
    digest = Digest.of(content)
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    (root / "blobs" / digest.blob_name).write_bytes(content)
    return digest


def add_model(root: Path, weights: bytes, *, runner: str = "") -> Manifest:
    """Keep the blobs of a model that has nothing but weights, and give its manifest."""
    config = b'{"model_format":"gguf"}'
    return Manifest(
        config=_layer(root, config, MediaType.CONFIG),
        layers=(_layer(root, weights, MediaType.MODEL),),
        runner=runner,
        format="gguf" if runner else "",
    )


def _layer(root: Path, content: bytes, kind: MediaType) -> Descriptor:
    return Descriptor(media_type=kind.value, digest=add_blob(root, content), size=len(content))


def old_path(root: Path, name: str, *, host: str = OLD_HOST) -> Path:
    """Where ``manifests`` has ``namespace/model/tag``."""
    return root / "manifests" / host / name


def v2_path(root: Path, name: str, *, host: str = V2_HOST) -> Path:
    """Where ``manifests-v2`` has ``namespace/model/tag``."""
    return root / "manifests-v2" / host / name


def write_old(root: Path, name: str, manifest: Manifest) -> Path:
    return write_file(old_path(root, name), manifest.to_bytes())


def write_v2(root: Path, name: str, manifest: Manifest | ManifestList) -> Path:
    """Keep a manifest as 0.40 does: a blob, and a link to it."""
    digest = add_blob(root, manifest.to_bytes())
    return write_link(v2_path(root, name), f"../../../../blobs/{digest.blob_name}")


def write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_link(path: Path, target: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def entry_of(root: Path, manifest: Manifest) -> ManifestEntry:
    """Keep a manifest as a blob, and give its entry in a list."""
    return ManifestEntry(
        digest=add_blob(root, manifest.to_bytes()), runner=manifest.runner, format=manifest.format
    )


def anchor_of(manifest: Manifest, *manifests: Manifest | ManifestList) -> Manifest:
    """Return what 0.40 keeps for older versions: the model, and the manifests themselves as layers."""
    contents = [one.to_bytes() for one in manifests]
    more = (Descriptor(media_type=MANIFEST_TYPE, digest=Digest.of(one), size=len(one)) for one in contents)
    return dataclasses.replace(manifest, layers=(*manifest.layers, *more))


def migrate(root: Path, name: str, original: Manifest, converted: bytes) -> str:
    """Do to a model what 0.40 does after its first chat; give the digits of the tag of the second copy."""
    ggml = dataclasses.replace(original, runner="ggml", format="gguf")
    llamacpp = add_model(root, converted, runner="llamacpp")
    entries = (entry_of(root, ggml), entry_of(root, llamacpp))
    both = ManifestList(entries=entries)
    v2_path(root, name).unlink(missing_ok=True)
    write_v2(root, name, both)
    old_path(root, name).unlink(missing_ok=True)
    write_old(root, name, anchor_of(original, both, ggml, llamacpp))
    write_old(root, f"library/llamacpp/{entries[1].digest.hex}", llamacpp)
    return entries[1].digest.hex
