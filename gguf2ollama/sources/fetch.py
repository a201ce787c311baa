"""Download one file, and continue after whatever interrupted it, a kill of this process too."""

from __future__ import annotations

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.net import Budget, ByteRange
from gguf2ollama.sources.remote_file import RemoteFile

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Fetch"]

_PIECE = 1 << 20
_WAITING = 64  # pieces that may wait to be hashed


class Fetch:
    """The download of one file.

    Args:
        file: The file.
        part: Where its bytes are put; what is there of an earlier call is continued.
        report: Called with the bytes that are there, now and then.
        check: Called with each piece; it raises once the download is to end.

    Attributes:
        bytes_fetched: Bytes that came over the network.
    """

    def __init__(
        self, file: RemoteFile, *, part: Path, report: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self.bytes_fetched = 0
        self._file = file
        self._part = part
        self._report = report
        self._check = check
        self._done = 0

    def run(self) -> str:
        """Download what is missing; return the sha256 of the whole as hexadecimal digits.

        Raises:
            NotEnoughSpace: The disk filled up.
            ServerProblem: The site cannot be reached, refuses, or sends something else.
        """
        budget = self._file.http.budget()
        with disk_errors(self._part), self._part.open("a+b", buffering=0) as stream, _Hasher() as hasher:
            self._done = stream.seek(0, io.SEEK_END)
            if self._done > self._file.size:
                self._start_over(stream, hasher)
            self._take_up(stream, hasher)
            self._file.http.retry(lambda: self._fetch(stream, hasher, budget), budget=budget)
            return hasher.finish()

    def _take_up(self, stream: io.FileIO, hasher: _Hasher) -> None:
        """Hash what is there."""
        stream.seek(0)
        left = self._done
        while left:
            self._check()
            piece = stream.read(min(left, _PIECE))
            if not piece:
                break
            hasher.add(piece)
            left -= len(piece)
            self._report(self._done - left)

    def _fetch(self, stream: io.FileIO, hasher: _Hasher, budget: Budget) -> None:
        while self._done < self._file.size:
            with self._file.open(ByteRange(start=self._done)) as part:
                if part.start != self._done:
                    self._start_over(stream, hasher)
                for piece in part.chunks(budget):
                    self._take(piece, stream, hasher)

    def _take(self, piece: bytes, stream: io.FileIO, hasher: _Hasher) -> None:
        self._check()
        self.bytes_fetched += len(piece)
        left = memoryview(piece)
        while left:
            left = left[stream.write(left) :]
        hasher.add(piece)
        self._done += len(piece)
        self._report(self._done)

    def _start_over(self, stream: io.FileIO, hasher: _Hasher) -> None:
        stream.truncate(0)
        hasher.begin_anew()
        self._done = 0
        self._report(0)


class _Hasher:
    """Hashes pieces on a thread of its own, in their order, while the next ones come."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.put(None)
        self._thread.join()

    def add(self, piece: bytes) -> None:
        """Hash this behind what was added before."""
        self._pieces.put(piece)

    def begin_anew(self) -> None:
        """Forget what was added."""
        self._pieces.join()
        self._state = hashlib.sha256()

    def finish(self) -> str:
        """Return the digest of all that was added."""
        self._pieces.join()
        return self._state.hexdigest()

    def _work(self) -> None:
        for piece in self._until_end():
            self._state.update(piece)
            self._pieces.task_done()

    def _until_end(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            yield piece
