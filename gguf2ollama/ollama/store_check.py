"""Check a store: whether every model in it is complete, and what in it is unused."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Literal

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.events import Progress, ignore
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.oci import (
    RUNNER,
    Descriptor,
    Digest,
    Manifest,
    ManifestList,
    MediaType,
    parse_manifest,
)
from gguf2ollama.ollama.store import LocalStore, has_digest
from gguf2ollama.ollama.store_layout import (
    MANIFESTS,
    MANIFESTS_V2,
    StoreEntry,
    entry_at,
    manifest_files,
    read_entry,
    read_manifest_blob,
)

__all__ = ["StoreFinding", "check_store"]

_RUNNERS = ("", "ggml", RUNNER, "mlx", "ollama")
_WEIGHTS = (MediaType.MODEL.value, MediaType.PROJECTOR.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFinding:
    """One thing that is wrong with a store, or unused in it.

    Attributes:
        level: An ``error`` keeps a model from running; a ``note`` takes only space.
        path: The file that it is about.
        message: What is wrong, and what to do.
    """

    level: Literal["error", "note"]
    path: Path
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What stands under a name.

    Attributes:
        path: The file or link.
        entry: The name; ``None`` where Ollama takes no such name.
        digest: Of what stands there.
        manifests: The manifest, or those of its list that are in the store.
        documents: The blobs that hold these manifests, where they are blobs.
        problem: Why no manifest of its list can be read.
    """

    path: Path
    entry: StoreEntry | None
    digest: Digest
    manifests: tuple[tuple[Digest, Manifest], ...]
    documents: tuple[Descriptor, ...] = ()
    problem: str = ""

    @property
    def title(self) -> str:
        return "/".join(self.path.parts[-4:])

    @property
    def blobs(self) -> Iterator[Descriptor]:
        yield from self.documents
        for _, manifest in self.manifests:
            yield from manifest.blobs


def check_store(
    store: LocalStore, *, hash_blobs: bool, progress: Progress = ignore
) -> tuple[StoreFinding, ...]:
    """Check every manifest in both layouts, and every blob that one names.

    Args:
        store: The store; nothing in it is changed.
        hash_blobs: Whether blobs are read and hashed, or only looked at for their lengths.
        progress: Called with the bytes hashed.
    """
    found = [*_models(store, MANIFESTS_V2), *_models(store, MANIFESTS)]
    models = [item for item in found if isinstance(item, _Model)]
    findings = [item for item in found if isinstance(item, StoreFinding)]
    named = {blob.digest.blob_name: blob for model in models for blob in model.blobs}
    newer = {_key(model.entry): model for model in models if model.entry and model.entry.is_v2}
    for model in models:
        over = None if model.entry is None or model.entry.is_v2 else newer.get(_key(model.entry))
        findings += _broken(store, model) if over is None else _superseded(model, over)
    findings += _alike(models)
    for blob in named.values():
        path = store.blob_path(blob.digest)
        if path.is_file() and (hash_blobs or _changed(store, path, blob.digest)):
            if has_digest(path, blob.digest, progress=progress):
                if store.records is not None:
                    store.records.learn_blob(path, blob.digest)
            else:
                findings.append(_damaged(path))
    return (*findings, *_doubled(store, models), *_unnamed(store, named))


def _key(entry: StoreEntry) -> str:
    return entry.name.full.lower()


def _models(store: LocalStore, layout: str) -> Iterator[_Model | StoreFinding]:
    for path in manifest_files(store.root, layout):
        if path.name.startswith(".") and path.name.endswith(".part"):
            yield StoreFinding(
                level="note", path=path, message="left by an interrupted write: may be removed"
            )
            continue
        try:
            yield _read(store, path)
        except (Gguf2OllamaError, OSError) as error:
            yield _unreadable(store, path, error)
            continue
        if path.parts[-3] == TEMPORARY_NAMESPACE:
            yield StoreFinding(
                level="note",
                path=path,
                message="left by an interrupted build; `gguf2ollama doctor --fix` removes it",
            )


def _unreadable(store: LocalStore, path: Path, error: Exception) -> StoreFinding:
    is_dangling = path.is_symlink() and not path.exists()
    if is_dangling and path.parts[-5] == MANIFESTS:  # tried with 0.34.4: every list fails with status 404
        return StoreFinding(
            level="error",
            path=path,
            message=f"{error}; remove it: Ollama before 0.40 lists no models at all while it exists",
        )
    entry = entry_at(path)
    other = store.find(entry.name) if is_dangling and entry is not None else None
    if other is not None and other.path != path:
        return StoreFinding(
            level="note",
            path=path,
            message=f"{error}; remove it: Ollama uses {other.path} instead",
        )
    hint = getattr(error, "hint", None)
    return StoreFinding(
        level="error", path=path, message=f"cannot read it: {error}{f' ({hint})' if hint else ''}"
    )


def _read(store: LocalStore, path: Path) -> _Model:
    content = read_entry(store.root, path)
    digest, parsed = Digest.of(content), parse_manifest(content)
    document = Descriptor(media_type="", digest=digest, size=len(content))
    own = (document,) if path.parts[-5] == MANIFESTS_V2 else ()
    entry = entry_at(path)
    if isinstance(parsed, Manifest):
        return _Model(path=path, entry=entry, digest=digest, manifests=((digest, parsed),), documents=own)
    manifests, problem = _listed(store, parsed)
    documents = (
        Descriptor(media_type="", digest=child, size=store.blob_path(child).stat().st_size)
        for child, _ in manifests
    )
    return _Model(
        path=path,
        entry=entry,
        digest=digest,
        manifests=manifests,
        documents=(*own, *documents),
        problem="" if manifests else problem,
    )


def _listed(store: LocalStore, found: ManifestList) -> tuple[tuple[tuple[Digest, Manifest], ...], str]:
    """Read the manifests of a list, the preferred first; not all need to be in the store."""
    manifests, problem = [], ""
    for child in found.preferred:
        try:
            manifests.append((child.digest, read_manifest_blob(store.root, child.digest)))
        except Gguf2OllamaError as error:
            problem = problem or error.message
    return tuple(manifests), problem


def _broken(store: LocalStore, model: _Model) -> Iterator[StoreFinding]:
    """Find what keeps a model from running; of a list, one complete manifest is enough."""
    if model.problem:
        yield StoreFinding(
            level="error",
            path=model.path,
            message=f"no manifest in its list can be read: {model.problem}; build or pull the model again",
        )
        return
    faults = [list(_missing(store, model.title, manifest)) for _, manifest in model.manifests]
    if all(faults):
        yield from faults[0]
    runners = [manifest.runner for _, manifest in model.manifests]
    if all(runner.lower() not in _RUNNERS for runner in runners):
        yield StoreFinding(
            level="note",
            path=model.path,
            message=f"it is for the unknown runner {runners[0]!r}; not checked further",
        )


def _missing(store: LocalStore, title: str, manifest: Manifest) -> Iterator[StoreFinding]:
    for blob in manifest.blobs:
        path = store.blob_path(blob.digest)
        if MediaType.is_manifest(blob.media_type):
            continue  # what 0.40 adds for older versions; nothing loads it
        if path.is_symlink() and not path.exists():
            message = f"symbolic link to {path.readlink()}, which is gone; {title} needs it"
            yield StoreFinding(level="error", path=path, message=message)
        elif not path.is_file():
            yield StoreFinding(level="error", path=path, message=f"missing; {title} needs it")
        elif (size := path.stat().st_size) != blob.size:
            yield StoreFinding(
                level="error",
                path=path,
                message=f"it has {size:,} bytes, {title} expects {blob.size:,}:"
                " remove it, then build or pull its models again",
            )


def _superseded(model: _Model, over: _Model) -> Iterator[StoreFinding]:
    """Say where ``manifests`` has another model under a name than ``manifests-v2``.

    That it has the same one is how 0.40 keeps it for older versions.
    """
    own = {_contents(manifest) for _, manifest in model.manifests}
    if not own & {_contents(manifest) for _, manifest in over.manifests}:
        yield StoreFinding(
            level="note",
            path=model.path,
            message=f"Ollama 0.40+ uses {over.path} for that name, which is a different model:"
            " remove the file of the one that you do not want",
        )


def _contents(manifest: Manifest) -> tuple[Descriptor, ...]:
    return tuple(blob for blob in manifest.blobs if not MediaType.is_manifest(blob.media_type))


def _alike(models: Sequence[_Model]) -> Iterator[StoreFinding]:
    """Say which names differ only in the case of letters."""
    known: dict[str, ModelName] = {}
    for model in models:
        if model.entry is None:
            continue
        other = known.setdefault(_key(model.entry), model.entry.name)
        if other.full != model.entry.name.full:
            yield StoreFinding(
                level="note",
                path=model.path,
                message=f"its name differs from {other.short} only in case, and Ollama treats both as one:"
                " remove the file of the one that you do not want",
            )


def _changed(store: LocalStore, path: Path, digest: Digest) -> bool:
    """Return whether a blob of several names, which any of them may have overwritten, is not as it was."""
    return _is_linked(path) and store.records is not None and not store.records.knows(path, digest)


def _damaged(path: Path) -> StoreFinding:
    why = ", a file linked to it was overwritten in place" if _is_linked(path) else ""
    return StoreFinding(
        level="error",
        path=path,
        message=f"checksum mismatch{why}: remove it, then build or pull its models again",
    )


def _doubled(store: LocalStore, models: Sequence[_Model]) -> Iterator[StoreFinding]:
    """Find the copies that Ollama 0.40 made of models, with their bytes, and how to remove them.

    0.40 rewrites some GGUFs after their first chat: it puts the copy into the list of manifests of the model,
    and besides under the name ``llamacpp:<digest of its manifest>``, which stays when the model is removed
    or made again.
    """
    for copy in models:
        name = copy.entry.name.short if copy.entry else ""
        if name != f"llamacpp:{copy.digest.hex}":
            continue
        owners = [model for model in models if model is not copy and copy.digest in dict(model.manifests)]
        originals = {blob for owner in owners for blob in _weights(owner, but=copy.digest)}
        shared = {blob for model in models for blob in _weights(model, but=copy.digest)}
        weights = [blob for blob in _weights(copy) if blob not in shared]
        is_doubled = not owners or any(store.blob_path(digest).is_file() for digest, _ in originals)
        if weights and is_doubled:
            yield StoreFinding(
                level="note",
                path=store.blob_path(weights[0][0]),
                message=_how_to_free(
                    name,
                    [owner.entry.name.short for owner in owners if owner.entry],
                    n_bytes=sum(size for _, size in weights),
                    is_linked=any(_is_linked(store.blob_path(digest)) for digest, _ in originals),
                ),
            )


def _weights(model: _Model, *, but: Digest | None = None) -> Iterator[tuple[Digest, int]]:
    """Return digest and length of the weights of a model, those of one of its manifests left out."""
    for digest, manifest in model.manifests:
        if digest != but:
            yield from ((blob.digest, blob.size) for blob in manifest.blobs if blob.media_type in _WEIGHTS)


def _is_linked(path: Path) -> bool:
    return path.is_file() and path.stat().st_nlink > 1


def _how_to_free(copy: str, names: Sequence[str], *, n_bytes: int, is_linked: bool) -> str:
    if not names:
        return (
            f"a copy that Ollama made of a model since removed or rebuilt takes {n_bytes:,} bytes:"
            f" `gguf2ollama rm {copy}` frees them"
        )
    what = f"Ollama made this second copy of {' and '.join(names)}, {n_bytes:,} bytes:"
    if len(names) > 1 or is_linked:  # to remove a blob that is a file of the user's, too, frees nothing
        return f"{what} rebuild it with gguf2ollama, then `gguf2ollama rm {copy}` frees them"
    steps = (f"rm {names[0]}", f"cp {copy} {names[0]}", f"rm {copy}")
    commands = " && ".join(f"gguf2ollama {step}" for step in steps)
    return f"{what} `{commands}` keeps the copy and frees the other"


def _unnamed(store: LocalStore, named: Container[str]) -> Iterator[StoreFinding]:
    for path in sorted((store.root / "blobs").iterdir() if (store.root / "blobs").is_dir() else ()):
        if path.name in named:
            continue
        is_partial = path.name.endswith(".part") or "-partial" in path.name
        what = "left by an interrupted write" if is_partial else "no model uses it"
        yield StoreFinding(level="note", path=path, message=f"{what}; the server removes it when it starts")
