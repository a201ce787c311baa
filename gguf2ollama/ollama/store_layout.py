"""Where a store keeps the manifest of a model: two layouts, which may exist side by side.

``manifests/<host>/<namespace>/<model>/<tag>`` is the manifest itself (``manifest/paths.go`` of 0.34.4); every
version reads it. From 0.40 on, a model that Ollama creates, pulls or copies is ``manifests-v2/…/<tag>``, a
symbolic link to the blob of its manifest (a hard link or a copy where there are no links); the host of
Ollama's own library is ``ollama.com`` there, and the colon of a host is ``%3A``. A name in ``manifests-v2``
goes before the same name in ``manifests``, unless its link leads nowhere. A manifest may be a list of
others, whose blobs are in the same store.

What is said here of 0.40 was read in the change that became 0.40.0; the tests stand on fixtures, not on that
version.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, Manifest, ManifestList, parse_manifest

__all__ = [
    "MANIFESTS",
    "MANIFESTS_V2",
    "StoreEntry",
    "entry_at",
    "find_entry",
    "list_entries",
    "manifest_files",
    "old_paths",
    "read_entry",
    "read_manifest_blob",
    "read_small_blob",
    "runnable_manifest",
    "v2_path",
]

MANIFESTS, MANIFESTS_V2 = "manifests", "manifests-v2"
_OLD_HOST, _V2_HOST = "registry.ollama.ai", "ollama.com"
_DEFAULT_HOSTS = {_OLD_HOST, _V2_HOST}
_BLOB_NAME = lazy_pattern(r"sha256-[0-9a-f]{64}\Z")
_CAP_BYTES = 4 << 20
_AGAIN = "build or pull the model again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEntry:
    """What stands under the name of a model in one of the layouts.

    Attributes:
        name: The name; that of Ollama's own library has its usual host in both layouts.
        path: The file or link.
        is_v2: Whether it stands in ``manifests-v2``.
    """

    name: ModelName
    path: Path
    is_v2: bool

    @property
    def is_dangling(self) -> bool:
        """Whether it is a link whose target does not exist."""
        return self.path.is_symlink() and not self.path.exists()


def v2_path(root: Path, name: ModelName) -> Path:
    """Return where ``manifests-v2`` has a name."""
    host, *rest = name.manifest_parts
    host = _V2_HOST if host.lower() in _DEFAULT_HOSTS else host
    return root.joinpath(MANIFESTS_V2, host.replace(":", "%3A"), *rest)


def old_paths(root: Path, name: ModelName) -> tuple[Path, ...]:
    """Return where ``manifests`` may have a name, in the order in which it is looked for."""
    host, *rest = name.manifest_parts
    others = (_DEFAULT_HOSTS - {host.lower()}) if host.lower() in _DEFAULT_HOSTS else ()
    return tuple(root.joinpath(MANIFESTS, other, *rest) for other in (host, *others))


def find_entry(root: Path, name: ModelName, *, reads_v2: bool = True) -> StoreEntry | None:
    """Find what stands under a name, or under one that differs only in the case of letters.

    A server treats such names as one (``getExistingName``, server/routes.go of 0.34.4). A link that leads
    nowhere counts where nothing else has the name.

    Args:
        root: The store.
        name: The name.
        reads_v2: Whether the Ollama that it is for reads ``manifests-v2``.
    """
    places = ((v2_path(root, name), True), *((path, False) for path in old_paths(root, name)))
    found = [StoreEntry(name=name, path=path, is_v2=is_v2) for path, is_v2 in places if os.path.lexists(path)]
    if not found:
        logical = _logical(name)
        found = [entry for entry in list_entries(root) if entry.name.is_same(logical)]
    found = [entry for entry in found if reads_v2 or not entry.is_v2]
    return next((entry for entry in found if not entry.is_dangling), found[0] if found else None)


def list_entries(root: Path) -> Iterator[StoreEntry]:
    """List what stands under names that Ollama takes: ``manifests-v2`` first; a name may stand in both."""
    for layout in (MANIFESTS_V2, MANIFESTS):
        for path in manifest_files(root, layout):
            entry = entry_at(path)
            if entry is not None:
                yield entry


def manifest_files(root: Path, layout: str) -> Iterator[Path]:
    """List the files and links of a layout, whatever their names, in order."""
    paths = (root / layout).glob("*/*/*/*")
    yield from sorted(path for path in paths if path.is_symlink() or not path.is_dir())


def entry_at(path: Path) -> StoreEntry | None:
    """Return what a file of :func:`manifest_files` is; ``None`` where Ollama takes no such name."""
    layout, host, namespace, model, tag = path.parts[-5:]
    is_v2 = layout == MANIFESTS_V2
    if is_v2:
        host = host.replace("%3A", ":").replace("%3a", ":")
    try:
        name = ModelName(host=host, namespace=namespace, model=model, tag=tag)
    except UsageProblem:
        return None
    return StoreEntry(name=_logical(name), path=path, is_v2=is_v2)


def _logical(name: ModelName) -> ModelName:
    return replace(name, host=_OLD_HOST) if name.host.lower() in _DEFAULT_HOSTS else name


def read_entry(root: Path, path: Path) -> bytes:
    """Read what stands under a name: a manifest or a list of manifests, as bytes.

    Args:
        root: The store.
        path: A file of :func:`manifest_files`.

    Raises:
        InvalidInput: It is not a file, a link in ``manifests-v2`` leads nowhere or out of the blobs of this
            store, or the bytes there are not what their name says. The message doesn't name the path.
    """
    if path.is_symlink() and not path.exists():
        raise InvalidInput(f"dangling link to {str(path.readlink())!r}", hint=_AGAIN)
    digest = None
    if path.parts[-5] == MANIFESTS_V2 and path.is_symlink():
        target = path.resolve()
        blob = root / "blobs" / target.name
        if not _BLOB_NAME.match(target.name) or not blob.is_file() or not blob.samefile(target):
            raise InvalidInput(
                f"link to {str(path.readlink())!r}, which is not a blob of this store: Ollama ignores it",
                hint=f"remove that link, and {_AGAIN}",
            )
        digest = Digest.parse(target.name)
    content = _read(path)
    if digest is not None and Digest.of(content) != digest:
        raise InvalidInput(f"blob {digest.blob_name} is damaged", hint=_AGAIN)
    return content


def read_manifest_blob(root: Path, digest: Digest) -> Manifest:
    """Read a manifest that a list of manifests names.

    Raises:
        InvalidInput: It is missing, damaged, or not the manifest of a model.
    """
    return Manifest.parse(read_small_blob(root, digest))


def read_small_blob(root: Path, digest: Digest) -> bytes:
    """Read a blob of at most 4 MiB.

    Raises:
        InvalidInput: It is missing, damaged, or longer.
    """
    content = _read(root / "blobs" / digest.blob_name)
    if Digest.of(content) != digest:
        raise InvalidInput(f"blob {digest.blob_name} is damaged")
    return content


def runnable_manifest(root: Path, entry: StoreEntry) -> Manifest:
    """Read the manifest of a model; of a list, that for llama.cpp, else the first that can be read.

    Raises:
        InvalidInput: It cannot be read.
    """
    parsed = parse_manifest(read_entry(root, entry.path))
    if not isinstance(parsed, ManifestList):
        return parsed
    problems = []
    for child in parsed.preferred:
        try:
            return read_manifest_blob(root, child.digest)
        except InvalidInput as error:
            problems.append(error.message)
    raise InvalidInput(f"no manifest in its list can be read: {problems[0]}", hint=_AGAIN)


def _read(path: Path) -> bytes:
    """Read a small regular file; a pipe or a device would block, or never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidInput(f"{path.name} is not a file")
        with path.open("rb") as stream:
            return stream.read(_CAP_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"cannot read {path.name}: {error.strerror}") from error
