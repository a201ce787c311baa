"""Read a file over HTTP as if it were here, a range at a time, and no more of it than is asked for."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from gguf2ollama.ggufio import GgufFile, open_gguf
from gguf2ollama.sources.remote_file import RETRY_PAUSES, RemoteFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["MOST_BYTES", "RangeReader", "open_remote_gguf"]

_FIRST_BYTES = 256 << 10  # many a header with its vocabulary needs several times that, and some do not
MOST_BYTES = 1 << 20
"""The most that one request asks for, and so the most that is fetched beyond what is needed."""


class RangeReader(io.RawIOBase):
    """A file at an ``http`` or ``https`` URL: readable and seekable, and never whole in memory.

    The first request asks for 256 KiB, each that goes on where the last one ended for twice as much, up to
    1 MiB; a read gives what is there of the range, so that it may be short. A server that sends no ranges is
    read from the start of the file on, as far as is needed.

    Args:
        url: Where it is.
        own_headers: What tells the server who asks; sent to the URL's own host, and to no other.
        name: What messages call it; the URL, without what may be secret in it, when not given.
        retry_pauses: Seconds to wait before each new attempt of a request that failed; what came meanwhile
            is kept, and then all attempts are there again.

    Raises:
        InvalidInput: The file is not the same any more as when it was opened.
        NotFound: There is no such file.
        ServerRefused: The server does not let it be read, or answers nonsense.
        ServerStalled: Nothing comes.
        ServerUnreachable: The server cannot be reached, or the connection breaks off again and again.
        UsageProblem: It is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        own_headers: Mapping[str, str] | None = None,
        name: str | None = None,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
    ) -> None:
        super().__init__()
        self._file = RemoteFile(url, own_headers=own_headers or {}, name=name, retry_pauses=retry_pauses)
        self._position = 0
        self._start = 0  # of the block
        self._next_bytes = _FIRST_BYTES
        try:
            self._block = self._file.fetch(0, _FIRST_BYTES)
        except BaseException:
            self._file.close()
            raise

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._file.name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    @property
    def bytes_fetched(self) -> int:
        """Bytes of the file that came over the network, those that came twice counted twice."""
        return self._file.bytes_fetched

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def notify(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, which may lie beyond the end; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no byte {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill as much of the buffer as one request gives; give 0 at the end."""
        if self.closed:
            raise ValueError("the file is closed")
        target = memoryview(buffer).cast("B")
        if not target or self._position >= self.size:
            return 0
        at = self._position - self._start
        if not 0 <= at < len(self._block):
            self._fetch()
            at = 0
        piece = self._block[at : at + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the connection."""
        try:
            self._file.close()
        finally:
            super().close()

    def _fetch(self) -> None:
        goes_on = self._position == self._start + len(self._block)
        self._next_bytes = min(2 * self._next_bytes, MOST_BYTES) if goes_on else _FIRST_BYTES
        self._block = self._file.fetch(self._position, self._next_bytes)
        self._start = self._position


def open_remote_gguf(url: str, *, token: str | None = None) -> GgufFile:
    """Read and check the header of a GGUF at a URL, and at most 1 MiB beyond it.

    Args:
        url: Where it is.
        token: Sent to the URL's own host as ``Authorization: Bearer``, and to no other.

    Raises:
        Gguf2OllamaError: As :class:`RangeReader` and :func:`gguf2ollama.ggufio.open_gguf` do.
    """
    with RangeReader(url, own_headers={"Authorization": f"Bearer {token}"} if token else {}) as stream:
        return open_gguf(cast("BinaryIO", stream))  # which mypy does not see that it is
