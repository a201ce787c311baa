"""Ollama's store of models on a disk of this machine.

``blobs/sha256-<hex>``, and manifests in one of two layouts, or both (see ``store_layout``). A running server
sees a manifest as soon as it is written, and prunes blobs that no manifest names when it starts: so blobs are
written first and the manifest last, by a rename. To the server everything four folders deep in ``manifests``
is a manifest, and one that it cannot read keeps it from pruning: so a manifest that is not yet whole lies
further up.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib
import os
import platform
import stat
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput, NotFound, UsageProblem
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.fs.atomic import atomic_file, clear_abandoned, sync_folder, temporary_path
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.space import check_free_space
from gguf2ollama.names import ModelName
from gguf2ollama.oci import (
    MANIFEST_TYPE,
    Descriptor,
    Digest,
    Manifest,
    ManifestList,
    MediaType,
    hash_stream,
    parse_manifest,
)
from gguf2ollama.ollama.store_layout import (
    MANIFESTS,
    MANIFESTS_V2,
    StoreEntry,
    find_entry,
    old_paths,
    read_entry,
    read_small_blob,
    runnable_manifest,
    v2_path,
)

__all__ = ["BlobRecords", "BlobResult", "BlobState", "LocalStore", "has_digest"]

BlobResult = Literal["reflinked", "hardlinked", "symlinked", "copied"]
"""How a blob came into the store."""

BlobState = Literal["missing", "intact", "damaged"]
"""What the store has of a blob: nothing, all of it, or a file with other bytes."""

_ATTEMPTS = 10
_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_FILE_MODE = 0o644  # of all that Ollama writes
# errors that say that a file cannot be hard-linked into the store, and has to be copied
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
_FICLONE = 0x40049409  # linux/fs.h
_NO_CLONE = {
    errno.EXDEV,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
}


class BlobRecords(Protocol):
    """What is known of blobs from when they were written or hashed."""

    def knows(self, blob: Path, digest: Digest) -> bool:
        """Return whether a blob still is what was written or hashed."""

    def learn_blob(self, blob: Path, digest: Digest) -> None:
        """Store that a blob was hashed and has its digest."""


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A store below ``root``, which is what ``OLLAMA_MODELS`` names.

    An existing blob is written again only if its bytes do not have its digest, and nothing is written through
    a symbolic link that leads out of the store.

    Attributes:
        root: The folder.
        records: Spares the hashing of blobs that are as they were; ``None`` to hash each that exists.
    """

    root: Path
    records: BlobRecords | None = field(default=None, compare=False, repr=False)

    @property
    def is_writable(self) -> bool:
        """Whether it is a store, and blobs and manifests can be written to it."""
        try:
            manifests = self.root / MANIFESTS  # comes with the first model
            folders = (self.root / "blobs", manifests if manifests.is_dir() else self.root)
            return all(
                folder.is_dir() and self._is_within(folder) and os.access(folder, os.W_OK | os.X_OK)
                for folder in folders
            )
        except OSError:  # not even to be looked into
            return False

    @property
    def keeps_owner(self) -> bool:
        """Whether what this user writes belongs to the store's owner afterwards.

        A server sets the time of a blob that it uses again (``touchLayer``, manifest/layer.go of 0.34.4),
        which only the blob's owner may do: where it cannot, no later build with those weights works. What
        root writes is given to the owner; some file systems (exFAT, shares) have one owner for all files.
        """
        folder = self.root / "blobs"
        try:
            owner = _owner(folder if folder.is_dir() else self.root)
            if owner is None or os.geteuid() in {0, owner} or not folder.is_dir():
                return True
            probe = folder / f".{os.urandom(6).hex()}.part"
            probe.touch(exist_ok=False)
            try:
                return _owner(probe) == owner
            finally:
                probe.unlink()
        except OSError:
            return False

    @property
    def owner_name(self) -> str:
        """The name of the user that the store belongs to, or its number.

        Raises:
            OSError: The folder does not exist, or cannot be looked into.
        """
        try:
            return self.root.owner()
        except KeyError:  # a user of a container, for example
            return str(_owner(self.root))

    def add_bytes(self, content: bytes) -> Digest:
        """Store some bytes, and return their digest.

        Raises:
            NotEnoughSpace: The disk is full.
            UsageProblem: The store cannot be written.
        """
        digest = Digest.of(content)
        if self.check_blob(digest, size=len(content)) != "intact":
            with atomic_file(self.blob_path(digest)) as stream:
                stream.write(content)
            self._settle(self.blob_path(digest))
        return digest

    def check_blob(
        self, digest: Digest, *, size: int, source: Path | None = None, progress: Progress = ignore
    ) -> BlobState:
        """Return whether the blob of a digest exists with its bytes, which are hashed where not known.

        A symbolic link to a file that is gone is removed.

        Args:
            digest: The digest.
            size: Its length in bytes.
            source: A file of that digest, to which the blob may be linked.
            progress: Called with the bytes hashed.

        Raises:
            UsageProblem: What stands there is not a file, or cannot be read.
        """
        path = self.blob_path(digest)
        if not self._exists(digest):
            return "missing"
        with disk_errors(path, action="cannot read"):
            if path.stat().st_size != size:
                return "damaged"
            if self.records is not None and self.records.knows(path, digest):
                return "intact"
            is_source = source is not None and path.samefile(source)
            if not is_source and not has_digest(path, digest, progress=progress):
                return "damaged"
        if self.records is not None:
            self.records.learn_blob(path, digest)
        return "intact"

    def link_file(self, path: Path, digest: Digest, *, symbolic: bool = False) -> BlobResult | None:
        """Store a file whose digest is known without copying it; ``None`` where it has to be copied.

        What stands there is replaced.

        A reflink is best, where the file system has them: it shares the bytes until one of both changes.
        A hard link is the same file under two names.

        Args:
            path: The file; it is read, never written.
            digest: Its digest.
            symbolic: Whether a symbolic link is made where neither is possible, as on another file system;
                0.34.4 serves it as any other blob.

        Raises:
            UsageProblem: The store cannot be written.
        """
        blob = self.blob_path(digest)
        self._make_folder(blob.parent)
        with disk_errors(blob):
            if _clone(path, blob):
                self._settle(blob)
                return "reflinked"
            if not _is_usable(path, owner=_owner(blob.parent)):
                return None
            if _link(path, blob):
                return "hardlinked"
            if symbolic and _replace_by_symlink(blob, path.resolve()):
                return "symlinked"
            return None

    def add_file(self, write: Callable[[BinaryIO], None], digest: Digest, *, size: int) -> BlobResult:
        """Store what a function writes, whose digest is known; its bytes may be shared with other files.

        What stands there is replaced.

        Args:
            write: Gets a new file, and writes to its descriptor.
            digest: The digest of what it writes.
            size: Its length in bytes.

        Raises:
            InvalidInput: It wrote fewer or more bytes.
            NotEnoughSpace: The disk is full.
            UsageProblem: The store cannot be written.
        """
        blob = self.blob_path(digest)
        self._make_folder(blob.parent)
        with atomic_file(blob, size=size) as target:
            write(target)
            if (written := os.fstat(target.fileno()).st_size) != size:
                raise InvalidInput(f"blob {digest} has {written:,} bytes, expected {size:,}")
        self._settle(blob)
        return "copied"

    def write_manifest(self, name: ModelName, manifest: Manifest) -> ModelName:
        """Write the manifest of a model, and so its name; all its blobs must be in the store.

        It is written to ``manifests``, which every version of Ollama reads; where the name stands in
        ``manifests-v2``, it is written there first, since 0.40 then reads nothing else. A name that differs
        from one in the store only in the case of letters is that one.

        Returns:
            The name as it stands in the store.

        Raises:
            InvalidInput: A blob is missing or has another size.
            UsageProblem: The store cannot be written.
        """
        for blob in manifest.blobs:
            path = self.blob_path(blob.digest)
            if not self._exists(blob.digest) or path.stat().st_size != blob.size:
                raise InvalidInput(f"blob {blob.digest} of {name.short} is missing in {self.root}")
        entry = self.find(name)
        name = name if entry is None else entry.name
        path, content = v2_path(self.root, name), manifest.to_bytes()
        with disk_errors(path):
            is_v2 = path.exists()
        old = old_paths(self.root, name)[0] if entry is None or entry.is_v2 else entry.path
        self._make_folder(old.parent)
        if is_v2:
            document = self._write_v2(path, content)
            content = dataclasses.replace(manifest, layers=(*manifest.layers, document)).to_bytes()
        self._write_file(old, content, folder=self.root / MANIFESTS)
        if not is_v2:
            self._remove(path)  # a link that leads nowhere, if anything
        return name

    def find(self, name: ModelName, *, reads_v2: bool = True) -> StoreEntry | None:
        """Find what stands under a name, in either layout; ``None`` if the model does not exist.

        Args:
            name: The name.
            reads_v2: Whether the Ollama that it is for reads ``manifests-v2``.
        """
        return find_entry(self.root, name, reads_v2=reads_v2)

    def read_manifest(self, name: ModelName, *, reads_v2: bool = True) -> Manifest | None:
        """Return a model's manifest; ``None`` if the model does not exist.

        Args:
            name: The name.
            reads_v2: Whether the Ollama that it is for reads ``manifests-v2``.

        Raises:
            InvalidInput: It is not a manifest, or a link that leads nowhere or out of the store.
        """
        entry = self.find(name, reads_v2=reads_v2)
        if entry is None:
            return None
        try:
            return runnable_manifest(self.root, entry)
        except InvalidInput as error:
            raise InvalidInput(f"{entry.path}: {error.message}", hint=error.hint) from error

    def read_licenses(self, name: ModelName, *, reads_v2: bool = True) -> str:
        """Return the licences of a model, joined; empty if it has none, or does not exist.

        Args:
            name: The name.
            reads_v2: Whether the Ollama that it is for reads ``manifests-v2``.

        Raises:
            InvalidInput: Its manifest, or a licence, cannot be read.
        """
        manifest = self.read_manifest(name, reads_v2=reads_v2)
        layers = manifest.layers if manifest is not None else ()
        return "\n".join(
            read_small_blob(self.root, layer.digest).decode("utf-8", "replace")
            for layer in layers
            if layer.media_type == MediaType.LICENSE.value
        )

    def listed_as(self, name: ModelName) -> tuple[set[str], set[float]]:
        """Return by what a server may know a model of its own store: digests (hex) and times of change.

        Ollama 0.40 lists a list of manifests by its entries, and takes the time of a link from it or from
        what it leads to (``server/model_list.go``, read, not tried).

        Raises:
            InvalidInput: It cannot be read.
        """
        entry = self.find(name)
        if entry is None:
            return set(), set()
        content = read_entry(self.root, entry.path)
        parsed = parse_manifest(content)
        entries = parsed.entries if isinstance(parsed, ManifestList) else ()
        with disk_errors(entry.path):
            times = {entry.path.stat().st_mtime, entry.path.lstat().st_mtime}
        return {Digest.of(content).hex, *(child.digest.hex for child in entries)}, times

    def discard(self, digest: Digest) -> None:
        """Remove a blob that no manifest names."""
        with disk_errors(self.blob_path(digest)):
            self.blob_path(digest).unlink(missing_ok=True)

    def remove_entry(self, entry: StoreEntry) -> None:
        """Remove a name and leave its blobs, which the server removes when it starts.

        Raises:
            UsageProblem: The store cannot be written.
        """
        self._remove(entry.path)

    def require(self, needed: int) -> None:
        """Check that ``needed`` bytes are free, after removing what killed processes left.

        Raises:
            NotEnoughSpace: Fewer bytes are free.
            UsageProblem: The folder cannot be made.
        """
        self._make_folder(self.root / "blobs")
        for folder in ("blobs", MANIFESTS, MANIFESTS_V2):
            clear_abandoned(self.root / folder)
        check_free_space(self.root / "blobs", needed)

    def blob_path(self, digest: Digest) -> Path:
        """Return where a blob is, or would be."""
        return self.root / "blobs" / digest.blob_name

    def _exists(self, digest: Digest) -> bool:
        """Return whether the blob of a digest is a file; a symbolic link to one that is gone is removed."""
        path = self.blob_path(digest)
        try:
            with disk_errors(path):
                found = path.stat()
        except NotFound:
            self._make_folder(path.parent)
            self._remove(path)
            return False
        if not stat.S_ISREG(found.st_mode):
            raise UsageProblem(f"blob {path} is not a file", hint="remove it, then run the command again")
        return True

    def _write_v2(self, path: Path, content: bytes) -> Descriptor:
        """Store a manifest as a blob and link its name to that; where the name was not a link, copy it.

        Returns:
            The layer by which 0.40 keeps older versions from pruning that blob.
        """
        digest = self.add_bytes(content)
        self._make_folder(path.parent)
        folder = self.root / MANIFESTS_V2
        temporary = folder / f".{path.name}.{os.urandom(6).hex()}.part"
        try:
            if not path.is_symlink() or not _symlink(temporary, Path(*[".."] * 4, "blobs", digest.blob_name)):
                self._write_file(path, content, folder=folder)
            else:
                with disk_errors(path):
                    temporary.replace(path)
                sync_folder(path.parent)
                self._own(path)
        finally:
            temporary.unlink(missing_ok=True)
        return Descriptor(media_type=MANIFEST_TYPE, digest=digest, size=len(content))

    def _write_file(self, path: Path, content: bytes, *, folder: Path) -> None:
        # a server removes the empty folders of names that it deletes: also one that we just made
        for attempt in range(_ATTEMPTS):
            self._make_folder(path.parent)
            try:
                with atomic_file(path, folder=folder) as stream:
                    stream.write(content)
                break
            except NotFound:
                if attempt == _ATTEMPTS - 1:
                    raise
        self._settle(path)

    def _remove(self, *paths: Path) -> None:
        """Remove what stands under a name in the layout that no longer counts, unless it is not ours."""
        for path in paths:
            if os.path.lexists(path) and self._is_within(path.parent):
                with disk_errors(path):
                    path.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        with disk_errors(folder):
            if not self._is_within(folder):
                raise UsageProblem(
                    f"{folder} is a symbolic link out of the store {self.root}", hint="remove that link"
                )
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            self._own(path)

    def _is_within(self, folder: Path) -> bool:
        return folder.resolve().is_relative_to(self.root.resolve())

    def _settle(self, path: Path) -> None:
        """Let the server read a new file, whatever the mask of this process."""
        with disk_errors(path):
            path.chmod(_FILE_MODE)
        self._own(path)

    def _own(self, path: Path) -> None:
        """Change the owner of what root wrote to the owner of the store, whose server removes it."""
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        if is_root and hasattr(os, "chown"):
            with disk_errors(path):
                store = self.root.stat()
                found = path.stat(follow_symlinks=False)
                if (found.st_uid, found.st_gid) != (store.st_uid, store.st_gid):
                    os.chown(path, store.st_uid, store.st_gid, follow_symlinks=False)


def _clone(source: Path, blob: Path) -> bool:
    """Clone a file, sharing its bytes until either changes (Linux: Btrfs, XFS, bcachefs; macOS: APFS)."""
    ioctl, clonefile = _ioctl(), _clonefile()
    if ioctl is None and clonefile is None:
        return False
    temporary = temporary_path(blob, folder=blob.parent)
    try:
        if clonefile is not None:
            clonefile(source.resolve(), temporary)
        elif ioctl is not None:
            with source.open("rb") as original, temporary.open("xb") as clone:
                ioctl(clone.fileno(), _FICLONE, original.fileno())
                os.fsync(clone.fileno())
        temporary.replace(blob)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _ioctl() -> Callable[[int, int, int], object] | None:
    """Return Linux's way of asking a file system for a clone."""
    if platform.system() != "Linux":
        return None
    ioctl: Callable[[int, int, int], object] = importlib.import_module("fcntl").ioctl
    return ioctl


def _clonefile() -> Callable[[Path, Path], None] | None:
    """Return macOS's way of making a clone (clonefile(2)); it raises ``OSError``."""
    if platform.system() != "Darwin":
        return None
    ctypes = importlib.import_module("ctypes")
    function = ctypes.CDLL(None, use_errno=True).clonefile

    def clonefile(source: Path, target: Path) -> None:
        if function(os.fsencode(source), os.fsencode(target), 0):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(source))

    return clonefile


def _symlink(path: Path, target: Path) -> bool:
    """Make a symbolic link; false where the file system has none, or the system reserves them (Windows)."""
    try:
        path.symlink_to(target)
    except (OSError, NotImplementedError):  # whatever it is: writing a file instead shows
        return False
    return True


def _owner(path: Path) -> int | None:
    """Return the user that a file belongs to; ``None`` on systems that do not say so."""
    return path.stat().st_uid if hasattr(os, "geteuid") else None


def _is_usable(source: Path, *, owner: int | None) -> bool:
    """Return whether the store's server can use a file that is linked: read it, and set its time.

    A link shares owner and mode with its source.
    """
    found = source.stat()
    return found.st_mode & _READABLE == _READABLE and (owner is None or found.st_uid == owner)


def _link(source: Path, blob: Path) -> bool:
    """Hard-link a file into the store; false where that is not possible."""
    temporary = temporary_path(blob, folder=blob.parent)
    try:
        os.link(source.resolve(), temporary)
        temporary.replace(blob)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _replace_by_symlink(blob: Path, target: Path) -> bool:
    temporary = temporary_path(blob, folder=blob.parent)
    try:
        if not _symlink(temporary, target):
            return False
        temporary.replace(blob)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def has_digest(path: Path, digest: Digest, *, progress: Progress = ignore) -> bool:
    """Return whether the bytes of a file have a digest.

    Args:
        path: The file.
        digest: The digest.
        progress: Called with the bytes hashed.
    """
    with path.open("rb") as stream:
        total, done = os.fstat(stream.fileno()).st_size, 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(Update(task=f"hashing {path.name[:19]}", done=done, total=total))

        return hash_stream(stream, advance=advance)[0] == digest
