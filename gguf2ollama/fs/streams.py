"""What all our streams that can be read from any position have in common."""

from __future__ import annotations

import abc
import io

__all__ = ["SeekableStream"]


class SeekableStream(io.RawIOBase):
    """A stream to read from, at a position that may be set; its kinds have ``size`` and ``readinto``."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Bytes of the stream."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, which may be beyond the end; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position: there is no byte {base + offset}")
        self._position = base + offset
        return self._position
