"""A file while it is downloaded: its bytes land in any order, and outlive this process.

Beside it lies a journal that says how far each of its segments has come. Bytes are written first and noted
then, so that after a kill at any moment all that is noted is there, and next to nothing is fetched twice;
nothing is forced to the disk for that, since what a process has written stays when it is killed. After a
power cut a journal may claim what never reached the disk. Where a digest is known, it finds that out; where
none is, a journal counts only as long as the system runs that it was written on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.environment import boot_id
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.net import ByteRange

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PartFile", "identity_of", "journal_path", "segment_bytes"]

_LEAST_SEGMENT, _MOST_SEGMENT = 4 << 20, 32 << 20
_ALIGNMENT = 64 << 10
_MAGIC = b"gguf2ollama ranges 1\n"
_HEAD = struct.Struct(
    f"<{len(_MAGIC)}s32sQQQ"
)  # magic, identity, size, bytes of a segment, inode of the part
_CHECKSUM = struct.Struct("<I")
_COUNT = struct.Struct("<Q")
_JOURNAL_LIMIT = 16 << 20  # bytes: of a file of some 60 terabytes
_LOCK_SECONDS = 0.2


class PartFile:
    """The bytes of a file that are there; a context manager. It may be used from several threads.

    Args:
        path: Where they are put; what is there of an earlier call for the same file is kept.
        named: The path that errors name.
        size: Bytes of the whole file.
        segment: Bytes of a segment, where none are there yet; see :func:`segment_bytes`.
        identity: What distinguishes this state of the file from any other; see :func:`identity_of`.
        start_of: A file that may hold the first bytes of it, written in order; it is taken over.
        wait: Called while another process writes to it; raises to give up.

    Raises:
        NotEnoughSpace: The disk is full.
        UsageProblem: The folder cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        *,
        named: Path,
        size: int,
        segment: int,
        identity: bytes,
        start_of: Path | None = None,
        wait: Callable[[], None],
    ) -> None:
        self.path = path
        self.size = size
        self.segment = segment
        self._named = named
        self._identity = identity
        self._lock = threading.Condition()
        self._is_over = self._has_name = False
        with disk_errors(named, action="cannot write"):
            first_bytes = _take_over(start_of, path, size=size)
            self._stream = _open_locked(path, wait=wait)
            try:
                self._journal = _open(journal_path(path))
            except BaseException:
                self._stream.close()
                raise
            try:
                self._done = self._read_journal() or self._start_over(first_bytes)
            except BaseException:
                self.close()
                raise
        self._first = 0  # the first segment that is not whole
        self.done = sum(self._done)
        with self._lock:
            self._advance()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.done and not self._has_name:
            with contextlib.suppress(OSError):  # nothing came: while it is locked, where that is possible
                journal_path(self.path).unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the files, and end what waits for bytes."""
        self.end()
        self._stream.close()
        self._journal.close()

    def end(self) -> None:
        """End what waits for bytes."""
        with self._lock:
            self._is_over = True
            self._lock.notify_all()

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.done == self.size

    def unfinished(self) -> list[int]:
        """Return the numbers of the segments that are not whole, in order."""
        return [number for number, done in enumerate(self._done) if done < self._length(number)]

    def missing(self, number: int) -> ByteRange | None:
        """Return the bytes of a segment that are missing; ``None`` if it is whole."""
        with self._lock:
            done, length = self._done[number], self._length(number)
        start = number * self.segment
        return None if done == length else ByteRange(start=start + done, end=start + length)

    def write(self, position: int, content: bytes) -> None:
        """Write bytes; those that are there already are left out.

        Args:
            position: Where in the file; within its segment, all bytes before have to be there.
            content: The bytes; they may reach into the next segments.

        Raises:
            NotEnoughSpace: The disk is full.
        """
        left = memoryview(content)
        if position + len(left) > self.size:
            raise ValueError(f"{len(left)} bytes at {position} of {self.size}")
        with self._lock, disk_errors(self._named, action="cannot write"):
            while left:
                number, offset = divmod(position, self.segment)
                piece = left[: self._length(number) - offset]
                known = self._done[number] - offset
                if known < 0:
                    raise ValueError(f"a gap before byte {position}")
                if known < len(piece):
                    _write_at(self._stream, piece[known:], position + known)
                    self._done[number] = offset + len(piece)
                    self.done += len(piece) - known
                    _write_at(self._journal, _COUNT.pack(self._done[number]), self._place(number))
                position += len(piece)
                left = left[len(piece) :]
            self._advance()

    def wait_beyond(self, position: int) -> int:
        """Wait until the bytes up to some byte behind a position are there without a gap; return that byte.

        The position itself is returned when the file is closed or whole, and none come any more.
        """
        with self._lock:
            while self._frontier() <= position < self.size and not self._is_over:
                self._lock.wait()
            return max(position, self._frontier())

    def finish(self, target: Path) -> None:
        """Give the file its name, whole or not; it is closed."""
        if os.name == "nt":  # where open files cannot be renamed
            self.close()
        with disk_errors(target):
            self.path.replace(target)  # while it is locked
            journal_path(self.path).unlink(missing_ok=True)
            self._has_name = True
        self.close()

    def _frontier(self) -> int:
        if self._first == len(self._done):
            return self.size
        return self._first * self.segment + self._done[self._first]

    def _advance(self) -> None:
        while self._first < len(self._done) and self._done[self._first] == self._length(self._first):
            self._first += 1
        self._lock.notify_all()

    def _length(self, number: int) -> int:
        return min(self.segment, self.size - number * self.segment)

    @staticmethod
    def _place(number: int) -> int:
        return _HEAD.size + _CHECKSUM.size + number * _COUNT.size

    def _read_journal(self) -> list[int] | None:
        """Return how far each segment has come; ``None`` where the journal is not of this part, or lies."""
        content = self._journal.read(_JOURNAL_LIMIT)
        if len(content) < self._place(0):
            return None
        head = content[: _HEAD.size]
        magic, identity, size, segment, inode = _HEAD.unpack(head)
        part = os.fstat(self._stream.fileno())
        is_known = (magic, identity, size, inode) == (_MAGIC, self._identity, self.size, part.st_ino)
        is_intact = _CHECKSUM.unpack_from(content, _HEAD.size)[0] == zlib.crc32(head)
        if not (is_known and is_intact and segment and not segment % _ALIGNMENT):
            return None
        number_of_segments = -(-size // segment)
        if len(content) != self._place(number_of_segments):
            return None
        done = [count for (count,) in _COUNT.iter_unpack(content[self._place(0) :])]
        ends = [number * segment + count for number, count in enumerate(done) if count]
        is_possible = all(count <= min(segment, size - number * segment) for number, count in enumerate(done))
        if not is_possible or not max(ends, default=0) <= part.st_size <= size:
            return None
        self.segment = segment
        return done

    def _start_over(self, first_bytes: int) -> list[int]:
        """Write a journal; return how far each segment has come."""
        if not first_bytes:
            self._stream.truncate(0)
        count = -(-self.size // self.segment)
        done = [min(max(first_bytes - number * self.segment, 0), self.segment) for number in range(count)]
        head = _HEAD.pack(
            _MAGIC, self._identity, self.size, self.segment, os.fstat(self._stream.fileno()).st_ino
        )
        counts = b"".join(map(_COUNT.pack, done))
        self._journal.truncate(0)
        _write_at(self._journal, head + _CHECKSUM.pack(zlib.crc32(head)) + counts, 0)
        return done


def journal_path(part: Path) -> Path:
    """Return where the journal of a part file is."""
    return part.with_suffix(".ranges")


def segment_bytes(size: int, connections: int) -> int:
    """Return the bytes of a segment: one for each connection, as far as that is neither too small nor large.

    In files of more than some 256 MB segments are taken in their order, so that what came is hashed while it
    is in the system's memory.
    """
    wanted = min(max(-(-size // connections), _LEAST_SEGMENT), _MOST_SEGMENT)
    return -(-wanted // _ALIGNMENT) * _ALIGNMENT


def identity_of(*, digest: str | None, mark: str) -> bytes:
    """Return what distinguishes a state of a file from any other.

    Args:
        digest: The digest that the whole file has to have, if it is known.
        mark: What the server calls that state, if it does; counts only while this system runs.
    """
    if digest is not None:
        seed = f"digest {digest}"
    elif mark and (boot := boot_id()):
        seed = f"mark {boot.decode('ascii').strip()} {mark}"
    else:
        return os.urandom(32)
    return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()


def _take_over(source: Path | None, path: Path, *, size: int) -> int:
    """Take over the first bytes of a file from where another tool left them; return how many."""
    if source is None or path.exists():
        return 0
    with contextlib.suppress(OSError):
        found = source.stat().st_size
        if 0 < found <= size:
            source.replace(path)
            return found
    return 0


def _open(path: Path) -> io.FileIO:
    """Open a file to read and write, and make it if there is none."""
    return open(path, "r+b", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666))


def _open_locked(path: Path, *, wait: Callable[[], None]) -> io.FileIO:
    """Open a file for this process alone, where the system has such locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return _open(path)
    while True:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(_open(path))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno()))
            except BlockingIOError:
                wait()
                is_ours = False
                time.sleep(_LOCK_SECONDS)
            except OSError:  # a file system without locks
                is_ours = True
            if is_ours:
                stack.pop_all()
                return stream


def _write_at(stream: io.FileIO, content: bytes | memoryview, position: int) -> None:
    left = memoryview(content)
    if hasattr(os, "pwrite"):
        while left:
            count = os.pwrite(stream.fileno(), left, position)
            left, position = left[count:], position + count
        return
    stream.seek(position)
    while left:
        left = left[stream.write(left) :]
