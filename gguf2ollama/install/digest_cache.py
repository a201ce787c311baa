"""Cache the digests of files between runs, for as long as the files do not change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any, TypeAlias

from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.oci import Digest

__all__ = ["DigestCache"]

_FORMAT = 2
_CAP_BYTES = 16 << 20
_CAP_ENTRIES = 10_000
_CAP_HEAD = 256 << 20
_LEAST_HEAD = 1 << 20  # bytes
_SAMPLES, _SAMPLE_BYTES = 64, 4096
_SETTLED_AFTER = 2.0  # seconds since the last change: a file may change twice within one tick of the clock

_State: TypeAlias = "list[list[int]]"


class DigestCache:
    """Digests by the paths, devices, inodes, sizes and modification times of the files, blobs among them.

    Ollama sets the time of a blob whenever it uses it again (``touchLayer``, manifest/layer.go of 0.34.4),
    and so that of a file that is hard-linked to it. Such a file also counts as unchanged while its header and
    64 samples of it are the same, unless it was written to last: then it was not touched (a write sets the
    times of content and inode to the same nanosecond, and setting a time does not).

    A file that was changed and then got its old size and time back counts as unchanged, and so does a blob in
    which bytes between the samples were changed before Ollama touched it: ``is_trusted=False``
    (``--rehash``) and ``doctor`` are for these. A cache that cannot be read or written is ignored.

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
            if entry.get("state") == state or _is_touched(entry, files, state, digest):
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
            head_bytes: The size of the header of the first file; 0 where that is not known.
        """
        key, state = _key(files, header), _state(files)
        if state is not None and state == self._seen.get(key):
            self._new[key] = self._entries[key] = _entry(files, state, digest, head_bytes)

    def learn(self, file: str, digest: Digest, *, head_bytes: int = 0) -> None:
        """Store the digest of a file that was hashed while it was written.

        Args:
            file: Its path, links resolved.
            digest: Its digest.
            head_bytes: The size of its header; 0 where that is not known.
        """
        if (state := _state((file,))) is not None:
            self._new[file] = self._entries[file] = _entry((file,), state, digest, head_bytes)

    def knows(self, blob: Path, digest: Digest) -> bool:
        """Return whether a blob still is what was written or hashed; see the class."""
        return self.get((str(blob),)) == digest

    def learn_blob(self, blob: Path, digest: Digest, *, head_bytes: int = 0) -> None:
        """Store that a blob was written, or hashed, and has its digest; see :meth:`learn`."""
        self.learn(str(blob), digest, head_bytes=head_bytes)

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
    return max(time_ns for *_, time_ns in state) < (time.time() - _SETTLED_AFTER) * 1e9


def _state(files: tuple[str, ...]) -> _State | None:
    """Return device, inode, size and modification time (ns) of each file; ``None`` if one is missing."""
    try:
        found = [Path(file).stat() for file in files]
    except OSError:
        return None
    return [[status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns] for status in found]


def _entry(files: tuple[str, ...], state: _State, digest: Digest, head_bytes: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"state": state, "digest": str(digest)}
    head_bytes = max(head_bytes, _LEAST_HEAD)
    sample = _sample(files, head_bytes)
    return entry | ({"sample": [head_bytes, sample]} if sample is not None else {})


def _is_touched(entry: dict[str, Any], files: tuple[str, ...], now: _State, digest: Digest) -> bool:
    """Return whether only times of blobs changed, or numbers of devices, which may differ after a start."""
    try:
        before, (head_bytes, sample) = entry["state"], entry["sample"]
        if [state[1:3] for state in before] != [state[1:3] for state in now]:
            return False
        touched = [file for file, old, new in zip(files, before, now, strict=True) if old[3:] != new[3:]]
    except (KeyError, TypeError, ValueError):
        return False
    if not isinstance(head_bytes, int) or not 0 < head_bytes <= _CAP_HEAD:
        return False
    are_blobs = all(_was_set(file) and _is_blob(file, digest) for file in touched)
    return are_blobs and _sample(files, head_bytes) == sample


def _was_set(file: str) -> bool:
    """Return whether the time of a file was set after it was written to last."""
    with contextlib.suppress(OSError):
        found = Path(file).stat()
        return found.st_mtime_ns != found.st_ctime_ns
    return False


def _is_blob(file: str, digest: Digest) -> bool:
    if Path(file).parts[-2:] == ("blobs", digest.blob_name):
        return True
    from gguf2ollama.install.stores import known_stores  # noqa: PLC0415 - for a file that was touched

    for store in known_stores(os.environ):
        with contextlib.suppress(OSError):
            if (store.root / "blobs" / digest.blob_name).samefile(file):
                return True
    return False


def _sample(files: tuple[str, ...], head_bytes: int) -> str | None:
    """Return the digest of the first bytes of files and of some further on; ``None`` if that fails."""
    state = hashlib.sha256()
    try:
        for file in files:
            with Path(file).open("rb", buffering=0) as stream:
                state.update(stream.read(head_bytes) or b"")
                size = stream.seek(0, os.SEEK_END)
                step = max((size - _SAMPLE_BYTES - head_bytes) // (_SAMPLES - 1), 1)
                for offset in range(head_bytes, size, step):
                    stream.seek(max(min(offset, size - _SAMPLE_BYTES), 0))
                    state.update(stream.read(_SAMPLE_BYTES) or b"")
    except OSError:
        return None
    return state.hexdigest()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= _CAP_BYTES:
            value = json.loads(path.read_bytes())
            if isinstance(value, dict) and value.get("format") == _FORMAT:
                digests = value.get("digests")
                return digests if isinstance(digests, dict) else {}
    return {}
