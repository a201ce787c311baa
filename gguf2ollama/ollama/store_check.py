"""Check a store: whether every model in it is whole, and what lies about in it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.oci import Descriptor, Manifest, hash_stream
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.progress import Progress, Update, ignore
from gguf2ollama.refs import TEMPORARY_NAMESPACE

__all__ = ["StoreFinding", "check_store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFinding:
    """One thing that is wrong with a store, or lies about in it.

    Attributes:
        level: An ``error`` keeps a model from running; a ``note`` takes room only.
        path: The file that it is about.
        message: What is wrong, and what to do.
    """

    level: Literal["error", "note"]
    path: Path
    message: str


def check_store(
    store: LocalStore, *, hash_blobs: bool, progress: Progress = ignore
) -> tuple[StoreFinding, ...]:
    """Check every manifest, and every blob that one names.

    Args:
        store: The store; nothing in it is changed.
        hash_blobs: Whether blobs are read and hashed, or only looked at for their lengths.
        progress: Told the bytes hashed.
    """
    findings: list[StoreFinding] = []
    named: dict[str, Descriptor] = {}
    for path, manifest in _manifests(store):
        if isinstance(manifest, StoreFinding):
            findings.append(manifest)
            continue
        named |= {blob.digest.blob_name: blob for blob in manifest.blobs}
        findings += _missing(store, path, manifest)
    for blob in named.values():
        path = store.root / "blobs" / blob.digest.blob_name
        if hash_blobs and path.is_file() and not _has_digest(path, blob, progress=progress):
            findings.append(
                StoreFinding(
                    level="error",
                    path=path,
                    message="its bytes are not what its name says: remove it, then make its models again",
                )
            )
    return (*findings, *_unnamed(store, named))


def _manifests(store: LocalStore) -> Iterator[tuple[Path, Manifest | StoreFinding]]:
    for path in sorted((store.root / "manifests").glob("*/*/*/*")):
        if not path.is_file():
            continue
        if path.name.startswith(".") and path.name.endswith(".part"):
            yield (
                path,
                StoreFinding(level="note", path=path, message="a write was broken off: it may be removed"),
            )
            continue
        try:
            yield path, Manifest.parse(path.read_bytes())
        except (Gguf2OllamaError, OSError) as error:
            yield path, StoreFinding(level="error", path=path, message=f"it cannot be read: {error}")
            continue
        if path.relative_to(store.root / "manifests").parts[1] == TEMPORARY_NAMESPACE:
            yield (
                path,
                StoreFinding(
                    level="note",
                    path=path,
                    message="a build was broken off: `gguf2ollama doctor --fix` removes it",
                ),
            )


def _missing(store: LocalStore, manifest_path: Path, manifest: Manifest) -> Iterator[StoreFinding]:
    name = "/".join(manifest_path.relative_to(store.root / "manifests").parts)
    for blob in manifest.blobs:
        path = store.root / "blobs" / blob.digest.blob_name
        if not path.is_file():
            yield StoreFinding(level="error", path=path, message=f"{name} needs it, and it is not there")
        elif (size := path.stat().st_size) != blob.size:
            yield StoreFinding(
                level="error",
                path=path,
                message=f"it has {size:,} bytes, {name} says {blob.size:,}: remove it, make its models again",
            )


def _has_digest(path: Path, blob: Descriptor, *, progress: Progress) -> bool:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(Update(task=f"hashing {path.name[:19]}", done=done, total=blob.size))

    with path.open("rb") as stream:
        return hash_stream(stream, advance=advance)[0] == blob.digest


def _unnamed(store: LocalStore, named: Container[str]) -> Iterator[StoreFinding]:
    for path in sorted((store.root / "blobs").iterdir() if (store.root / "blobs").is_dir() else ()):
        if path.name in named:
            continue
        is_broken_off = path.name.endswith(".part") or "-partial" in path.name
        what = "a write was broken off" if is_broken_off else "no model names it"
        yield StoreFinding(level="note", path=path, message=f"{what}: the server removes it when it starts")
