"""A file over HTTP as a file to read from: by ranges, no more of it than is read, or from start to end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from gguf2ollama.errors import ServerRefused
from gguf2ollama.fs.streams import SeekableStream
from gguf2ollama.ggufio import GgufFile, open_gguf
from gguf2ollama.net import RETRY_PAUSES, Budget, ByteRange, HttpClient, public_url
from gguf2ollama.sources.sites.remote_file import RemoteFile, Slice

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["MOST_BYTES", "FileStream", "RangeReader", "open_remote_gguf"]

_FIRST_BYTES = 256 << 10  # many a header with its vocabulary needs several times that, and some do not
MOST_BYTES = 1 << 20
"""The most that one request of a :class:`RangeReader` asks for, and so fetches beyond what is needed."""

_RANGE_SECONDS = 120.0  # in which such a request has to be complete


class RangeReader(SeekableStream):
    """A file over HTTP: readable and seekable, and never whole in memory.

    The first request asks for 256 KiB, each that goes on where the last one ended for twice as much, up to
    1 MiB; a read returns what is there of the range, so that it may be short. A server that sends no ranges
    is read from the start of the file on, as far as is needed.

    Args:
        file: The file.
        on_close: Called when it is closed.

    Raises:
        Gguf2OllamaError: As :meth:`RemoteFile.open`.

    Attributes:
        bytes_fetched: Bytes of the file that came over the network, those that came twice counted twice.
    """

    def __init__(self, file: RemoteFile, *, on_close: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.bytes_fetched = 0
        self._file = file
        self._on_close = on_close
        self._start = 0  # of the block
        self._next_bytes = _FIRST_BYTES
        self._whole: _Whole | None = None
        try:
            self._block = self._fetch(0, _FIRST_BYTES)
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(
        cls,
        url: str,
        *,
        own_headers: Mapping[str, str] | None = None,
        name: str | None = None,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
    ) -> RangeReader:
        """Open the file at a URL.

        Args:
            url: Where it is.
            own_headers: Credentials; sent to the URL's own scheme, host and port, and nowhere else.
            name: What messages call it; the URL without what may be secret in it when not given.
            retry_pauses: Seconds before each new attempt of a request that failed for the moment.

        Raises:
            UsageProblem: It is not a URL.
        """
        public = public_url(url)
        http = HttpClient(origin=url, own_headers=own_headers, retry_pauses=retry_pauses)
        return cls(RemoteFile(http, url, name=name or public), on_close=http.close)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._file.name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill as much of the buffer as one request brings; return 0 at the end."""
        if self.closed:
            raise ValueError("the file is closed")
        target = memoryview(buffer).cast("B")
        if not target or self._position >= self.size:
            return 0
        at = self._position - self._start
        if not 0 <= at < len(self._block):
            is_next = at == len(self._block)
            self._next_bytes = min(2 * self._next_bytes, MOST_BYTES) if is_next else _FIRST_BYTES
            self._block = self._fetch(self._position, self._next_bytes)
            self._start, at = self._position, 0
        piece = self._block[at : at + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the connection."""
        try:
            self._drop_whole()
            self._on_close()
        finally:
            super().close()

    def _fetch(self, start: int, count: int) -> bytes:
        """Return the bytes from ``start`` on: ``count``, or as many as there are."""
        found = bytearray()
        budget = self._file.http.budget()

        def attempt() -> None:
            while not self._file.is_known or len(found) < min(count, self.size - start):
                self._add(found, start + len(found), count - len(found), budget=budget)

        self._file.http.retry(attempt, budget=budget)
        return bytes(found)

    def _add(self, found: bytearray, start: int, count: int, *, budget: Budget) -> None:
        """Add what comes of one answer; that may be less."""
        if self._whole is not None and self._whole.position > start:
            self._drop_whole()
        if self._whole is None:
            wanted = ByteRange(start=start, end=start + count)
            part = self._file.open(wanted, seconds=_RANGE_SECONDS)
            if not part.is_whole:
                with part:
                    for chunk in part.chunks(budget):
                        self.bytes_fetched += len(chunk)
                        found += chunk
                return
            part.response.wait.deadline = None  # it stays open, as far as it is read
            self._whole = _Whole(part, count=self._count)
        try:
            for chunk in self._whole.read(start, min(count, self.size - start)):
                found += chunk
                budget.progress()
        except BaseException:
            self._drop_whole()
            raise

    def _count(self, count: int) -> None:
        self.bytes_fetched += count

    def _drop_whole(self) -> None:
        if self._whole is not None:
            self._whole.close()
            self._whole = None


class _Whole:
    """An answer with the whole file, read from its start on as far as is wanted."""

    def __init__(self, part: Slice, *, count: Callable[[int], None]) -> None:
        self.position = 0
        self._count = count
        self._part = part
        self._chunks = part.chunks()
        self._rest = b""

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Return bytes from ``start`` on, which is not before the position; what lies between is dropped."""
        end = start + count
        while self.position < end:
            chunk = self._rest
            if not chunk:
                chunk = next(self._chunks, b"")
                self._count(len(chunk))
            if not chunk:
                return
            low, high = max(start - self.position, 0), min(end - self.position, len(chunk))
            self._rest = chunk[high:]
            self.position += high
            yield chunk[low:high]

    def close(self) -> None:
        """Close the connection."""
        self._part.response.close()


class FileStream(io.RawIOBase):
    """The bytes of a file as they come; a connection that breaks off is replaced at the byte it had reached.

    Nothing is kept: who reads them checks their digest.

    Args:
        file: The file, whose size is known.

    Raises:
        Gguf2OllamaError: As :meth:`RemoteFile.open`; from each read.
    """

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file = file
        self._done = 0
        self._rest = memoryview(b"")
        self._budget = file.http.budget()
        self._part: Slice | None = None
        self._chunks: Iterator[bytes] = iter(())

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Return some bytes; 0 at the end."""
        if not self._rest and self._done < self._file.size:
            self._rest = memoryview(self._file.http.retry(self._next, budget=self._budget))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the connection."""
        self._drop()
        super().close()

    def _next(self) -> bytes:
        try:
            while True:
                if self._part is None:
                    self._open()
                if chunk := next(self._chunks, b""):
                    self._done += len(chunk)
                    return chunk
                self._drop()  # a range that was shorter than asked for
        except BaseException:
            self._drop()
            raise

    def _open(self) -> None:
        self._part = self._file.open(ByteRange(start=self._done))
        if self._part.start != self._done:
            raise ServerRefused(
                f"{self._file.name}: the connection broke off, and the server cannot continue within a file",
                hint="leave out --stream, so that it is downloaded first",
            )
        self._chunks = self._part.chunks(self._budget)

    def _drop(self) -> None:
        part, self._part = self._part, None
        self._chunks = iter(())
        if part is not None:
            part.response.close()


def open_remote_gguf(url: str, *, token: str | None = None) -> GgufFile:
    """Read and check the header of a GGUF at a URL, and at most 1 MiB beyond it.

    Args:
        url: Where it is.
        token: Sent to the URL's own host as ``Authorization: Bearer``, and to no other.

    Raises:
        Gguf2OllamaError: As :class:`RangeReader` and :func:`gguf2ollama.ggufio.open_gguf` do.
    """
    with RangeReader.at(url, own_headers={"Authorization": f"Bearer {token}"} if token else {}) as stream:
        return open_gguf(cast("BinaryIO", stream))  # which mypy does not see that it is
