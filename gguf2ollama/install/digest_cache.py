"""Cache the digests of files between runs, for as long as the files do not change."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, TypeAlias

from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.oci import Digest

__all__ = ["DigestCache"]

_FORMAT = 1
_CAP_BYTES = 16 << 20
_CAP_ENTRIES = 10_000
_CAP_HEAD = 256 << 20
_SETTLED_AFTER = 2.0  # seconds since the last change: a file may change twice within one tick of the clock

_State: TypeAlias = "list[list[int]]"


class DigestCache:
    """Digests by the paths, sizes, modification times and inodes of the files.

    A file that is hard-linked into Ollama's store is the same file as the blob there, and its time changes
    whenever Ollama touches the blob (``touchLayer``, manifest/layer.go of 0.34.4). Such a file also counts as
    unchanged while it is the blob of that digest and has the same header: whatever edits a GGUF in place
    changes its header.

    A file that was changed and then got its old size and time back counts as unchanged, and so does a linked
    one whose weights were edited in place: ``is_trusted=False`` (``--rehash``) is for these. A cache that
    cannot be read or written is ignored.

    Args:
        path: The file of the cache; by default ``digests.json`` in the user's cache folder, if there is one.
        is_trusted: Whether cached digests are used; new ones are stored in any case.
    """

    def __init__(self, path: Path | None = None, *, is_trusted: bool = True) -> None:
        self._path = path or _default_path()
        self._is_trusted = is_trusted
        self._entries = _read(self._path) if self._path else {}
        self._new: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, _State] = {}

    def get(self, files: tuple[str, ...], *, header: Digest | None = None) -> Digest | None:
        """Return the digest of the bytes of files as they are now; ``None`` if it is not known.

        Args:
            files: The files, in order.
            header: The digest of bytes that are in none of them; ``None`` where there are none.
        """
        key, state = _key(files, header), _state(files)
        if state is not None and _is_settled(state):
            self._seen[key] = state
        entry = self._entries.get(key) if self._is_trusted else None
        if state is None or not isinstance(entry, dict):
            return None
        with contextlib.suppress(InvalidInput):
            digest = Digest.parse(str(entry.get("digest")))
            if entry.get("state") == state or _is_touched_blob(entry, files, state, digest):
                return digest
        return None

    def put(
        self, files: tuple[str, ...], digest: Digest, *, header: Digest | None = None, head_bytes: int = 0
    ) -> None:
        """Store the digest of files for which :meth:`get` was called before they were hashed.

        Nothing is stored if the files have changed since, or changed just before that call.

        Args:
            files: As for :meth:`get`.
            digest: Their digest.
            header: As for :meth:`get`.
            head_bytes: The size of the header of a file that is hashed unchanged.
        """
        head = _head(files[0], head_bytes) if head_bytes and header is None and len(files) == 1 else None
        key, state = _key(files, header), _state(files)
        if state is not None and state == self._seen.get(key):
            self._new[key] = {"state": state, "digest": str(digest)} | ({"head": head} if head else {})

    def learn(self, file: str, digest: Digest, *, head_bytes: int = 0) -> None:
        """Store the digest of a file that was hashed while it was written.

        Args:
            file: Its path, links resolved.
            digest: Its digest.
            head_bytes: The size of its header; 0 where that is not known.
        """
        if (state := _state((file,))) is not None:
            head = _head(file, head_bytes) if head_bytes else None
            entry = {"state": state, "digest": str(digest)} | ({"head": head} if head else {})
            self._new[file] = self._entries[file] = entry

    def of_file(self, path: Path) -> str | None:
        """Return the digest of one file as it is now, as 64 hexadecimal digits; ``None`` if not known."""
        found = self.get((str(path.resolve()),))
        return found.hex if found else None

    def learn_file(self, path: Path, sha256: str, *, head_bytes: int = 0) -> None:
        """Store the digest of a file that was hashed while it was written; see :meth:`learn`."""
        self.learn(str(path.resolve()), Digest(sha256), head_bytes=head_bytes)

    def save(self) -> None:
        """Write new digests to the file, keeping those that other processes wrote meanwhile."""
        if self._path is None or not self._new:
            return
        entries = list((_read(self._path) | self._new).items())[-_CAP_ENTRIES:]
        content = json.dumps({"format": _FORMAT, "digests": dict(entries)}, indent=0).encode()
        with contextlib.suppress(OSError, Gguf2OllamaError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self._path) as stream:
                stream.write(content)


def _default_path() -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "digests.json"


def _key(files: tuple[str, ...], header: Digest | None) -> str:
    return "\n".join(files if header is None else (str(header), *files))


def _is_settled(state: _State) -> bool:
    return max(time_ns for _, time_ns, _ in state) < (time.time() - _SETTLED_AFTER) * 1e9


def _state(files: tuple[str, ...]) -> _State | None:
    """Return size, modification time in nanoseconds and inode of each file; ``None`` if one is missing."""
    try:
        found = [Path(file).stat() for file in files]
    except OSError:
        return None
    return [[status.st_size, status.st_mtime_ns, status.st_ino] for status in found]


def _is_touched_blob(entry: dict[str, Any], files: tuple[str, ...], now: _State, digest: Digest) -> bool:
    """Return whether only the time of a file changed, and it is the blob of its digest in a store."""
    try:
        ((size, _, inode),), (head_bytes, head) = entry["state"], entry["head"]
    except (KeyError, TypeError, ValueError):
        return False
    if len(files) != 1 or [size, inode] != [now[0][0], now[0][2]]:
        return False
    if not isinstance(head_bytes, int) or not 0 < head_bytes <= _CAP_HEAD:
        return False
    return _is_blob(files[0], digest) and _head(files[0], head_bytes) == [head_bytes, head]


def _is_blob(file: str, digest: Digest) -> bool:
    from gguf2ollama.install.stores import known_stores  # noqa: PLC0415 - for a file that was touched

    for store in known_stores(os.environ):
        with contextlib.suppress(OSError):
            if (store.root / "blobs" / digest.blob_name).samefile(file):
                return True
    return False


def _head(file: str, count: int) -> list[object] | None:
    """Return number and digest of the first bytes of a file; ``None`` if they cannot be read."""
    with contextlib.suppress(OSError), Path(file).open("rb") as stream:
        return [count, str(Digest.of(stream.read(count)))]
    return None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if path.stat().st_size <= _CAP_BYTES:
            value = json.loads(path.read_bytes())
            if isinstance(value, dict) and value.get("format") == _FORMAT:
                digests = value.get("digests")
                return digests if isinstance(digests, dict) else {}
    return {}
