"""Remember the digests of files between calls, as long as the files stay as they are."""

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
_SETTLED_AFTER = 2.0  # seconds since the last change; a file changed just now may change within one tick

_State: TypeAlias = "list[list[int]]"


class DigestCache:
    """Digests by the paths, lengths, modification times and inodes of the files they were made of.

    A file that is linked into a store of Ollama is one file with the blob there, and gets another time
    whenever Ollama touches the blob (``touchLayer``, manifest/layer.go of 0.34.4). So it is also known as
    long as it is the blob of that digest, and its header is as it was: what edits a GGUF in its place edits
    that.

    A file that was changed and then given its old length and time back would be taken for unchanged, as would
    a linked one whose weights were edited in their place; that is what ``is_trusted=False`` (``--rehash``) is
    for. A cache that cannot be read or written is no error.

    Args:
        path: The file it is kept in; by default ``digests.json`` in the user's cache folder, if there is one.
        is_trusted: Whether what it knows is used; what is found is kept in any case.
    """

    def __init__(self, path: Path | None = None, *, is_trusted: bool = True) -> None:
        self._path = path or _default_path()
        self._is_trusted = is_trusted
        self._entries = _read(self._path) if self._path else {}
        self._new: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, _State] = {}

    def get(self, files: tuple[str, ...], *, header: Digest | None = None) -> Digest | None:
        """Return the digest that belongs to the files as they are now; ``None`` when it is not known.

        Args:
            files: What the bytes come from, in order.
            header: The digest of bytes that stand in none of them; ``None`` where there are none.
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
        """Learn the digest of what was asked for before it was hashed.

        Nothing is learnt of files that were changed since they were asked for, or just before.

        Args:
            files: As they were asked for.
            digest: What was found.
            header: As it was asked for.
            head_bytes: How long the header is of a file that is known as it is.
        """
        head = _head(files[0], head_bytes) if head_bytes and header is None and len(files) == 1 else None
        key, state = _key(files, header), _state(files)
        if state is not None and state == self._seen.get(key):
            self._new[key] = {"state": state, "digest": str(digest)} | ({"head": head} if head else {})

    def learn(self, file: str, digest: Digest, *, head_bytes: int = 0) -> None:
        """Learn the digest of a file that was hashed while we wrote it.

        Args:
            file: Its path, links resolved.
            digest: What was found.
            head_bytes: How long its header is; 0 where that is not known.
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
        """Learn the digest of a file that was hashed while it was written; see :meth:`learn`."""
        self.learn(str(path.resolve()), Digest(sha256), head_bytes=head_bytes)

    def save(self) -> None:
        """Keep what was learnt, beside what other calls learnt meanwhile."""
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
    return max(one[1] for one in state) < (time.time() - _SETTLED_AFTER) * 1e9


def _state(files: tuple[str, ...]) -> _State | None:
    """Length, modification time in nanoseconds and inode of each file; ``None`` when one is not there."""
    try:
        found = [Path(file).stat() for file in files]
    except OSError:
        return None
    return [[one.st_size, one.st_mtime_ns, one.st_ino] for one in found]


def _is_touched_blob(entry: dict[str, Any], files: tuple[str, ...], now: _State, digest: Digest) -> bool:
    """Return whether only the time of a file is another, and it is the blob of its digest in a store."""
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
    """Return what the first bytes of a file are, by number and digest; ``None`` if they cannot be read."""
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
